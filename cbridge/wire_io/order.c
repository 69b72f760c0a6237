#include "order.h"

#include <stdbool.h>
#include <string.h>

#include "batch.h"

enum { OWNERS = 4 * WIRE_BATCH_MAX }; /* places of a table in which at most a quarter is used */

/* Add an owner to a table. Returns whether it is new there. */
static bool add_owner(uint32_t owners[OWNERS], uint32_t owner) {
    uint32_t place = owner >> 1 & (OWNERS - 1);
    while (owners[place] != 0 && owners[place] != owner) {
        place = (place + 1) & (OWNERS - 1);
    }
    bool is_new = owners[place] == 0;
    owners[place] = owner;
    return is_new;
}

/* Return how many of some messages, the longest first, are not shorter than `size`. */
static uint32_t count_longer(const wire_outgoing *messages, uint32_t count, uint32_t size) {
    uint32_t low = 0;
    while (low < count) {
        uint32_t middle = (low + count) / 2;
        if (messages[middle].size >= size) {
            low = middle + 1;
        } else {
            count = middle;
        }
    }
    return low;
}

void wire_lane_order(wire_lane *lane, uint32_t count) {
    uint32_t owners[OWNERS] = {0};
    uint32_t end = lane->first + count;
    uint32_t begin = lane->ordered > lane->first ? lane->ordered : lane->first;
    for (uint32_t at = begin; at < end; at++) {
        wire_outgoing message = lane->messages[at];
        if (!add_owner(owners, message.owner)) { /* what follows stays behind the owner's message before */
            memset(owners, 0, sizeof owners);
            add_owner(owners, message.owner);
            begin = at;
        } else if (at > begin && message.size > lane->messages[at - 1].size) {
            uint32_t place = begin + count_longer(lane->messages + begin, at - begin, message.size);
            memmove(lane->messages + place + 1, lane->messages + place, (at - place) * sizeof message);
            lane->messages[place] = message;
        }
    }
    lane->ordered = end > lane->ordered ? end : lane->ordered;
}
