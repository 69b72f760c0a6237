#include "outbox.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "datagrams.h"
#include "outgoing.h"

wire_lane *wire_lane_new(int32_t cap) {
    wire_lane *lane = calloc(1, sizeof *lane);
    if (lane != NULL) {
        wire_window_init(&lane->window, cap);
    }
    return lane;
}

void wire_lane_free(wire_lane *lane) {
    if (lane != NULL) {
        wire_quarantine_free(&lane->quarantined);
        free(lane->messages);
        free(lane->octets);
        free(lane);
    }
}

/* Begin at the beginning again when nothing is left. */
static void tidy(wire_lane *lane) {
    if (lane->first == lane->count) {
        lane->first = lane->count = lane->used = 0;
    }
}

/* Take up the room of what is sent: where the kernel is never quick enough, the outbox is never empty. */
static void close_up(wire_lane *lane) {
    uint32_t gone = lane->messages[lane->first].at;
    lane->count -= lane->first;
    lane->used -= gone;
    memmove(lane->messages, lane->messages + lane->first, lane->count * sizeof *lane->messages);
    memmove(lane->octets, lane->octets + gone, lane->used);
    for (uint32_t i = 0; i < lane->count; i++) {
        lane->messages[i].at -= gone;
    }
    lane->first = 0;
}

uint8_t *wire_lane_reserve(wire_lane *lane, uint32_t size) {
    bool full = lane->count == lane->room || lane->octets_size - lane->used < size;
    if (full && lane->first > lane->count / 2) { /* rarely enough to cost nothing */
        close_up(lane);
    }
    if (lane->count == lane->room) {
        if (lane->room > UINT32_MAX / 2) {
            return NULL;
        }
        uint32_t room = lane->room > 0 ? 2 * lane->room : 64;
        wire_outgoing *messages = realloc(lane->messages, room * sizeof *messages);
        if (messages == NULL) {
            return NULL;
        }
        lane->messages = messages;
        lane->room = room;
    }
    if (lane->octets_size - lane->used < size) {
        uint64_t wanted = 2 * (uint64_t)lane->octets_size + size;
        uint32_t room = wanted < UINT32_MAX ? (uint32_t)wanted : UINT32_MAX; /* messages tell their places in 32 bits */
        if (room - lane->used < size) {
            return NULL;
        }
        uint8_t *octets = realloc(lane->octets, room);
        if (octets == NULL) {
            return NULL;
        }
        lane->octets = octets;
        lane->octets_size = room;
    }
    return lane->octets + lane->used;
}

void wire_lane_add(wire_lane *lane, uint32_t slot, uint32_t query_id, uint32_t size) {
    lane->messages[lane->count++] = (wire_outgoing){slot, query_id, lane->used, size};
    lane->used += size;
}

int wire_lane_send(wire_lane *lane, int socket) {
    uint32_t sizes[WIRE_BATCH_MAX];
    uint32_t count = 0;
    const wire_outgoing *first = lane->messages + lane->first;
    while (count < WIRE_BATCH_MAX && lane->first + count < lane->count && first[count].slot == first->slot) {
        sizes[count] = first[count].size;
        count++;
    }
    if (count == 0) {
        return 0;
    }
    int sent = wire_send(socket, lane->octets + first->at, lane->used - first->at, sizes, count);
    if (sent > 0) {
        lane->first += (uint32_t)sent;
        tidy(lane);
    }
    return sent;
}

void wire_lane_skip(wire_lane *lane) {
    if (lane->first < lane->count) {
        lane->first++;
        tidy(lane);
    }
}
