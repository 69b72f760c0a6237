#include "outbox.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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

/* Use the memory of what is sent again: where the kernel is never quick enough, the outbox is never empty. */
static void outbox_compact(wire_lane *lane) {
    uint32_t gone = lane->used;
    for (uint32_t i = lane->first; i < lane->count; i++) { /* they may be in another order than their octets */
        gone = lane->messages[i].at < gone ? lane->messages[i].at : gone;
    }
    lane->count -= lane->first;
    lane->ordered = lane->ordered > lane->first ? lane->ordered - lane->first : 0;
    lane->used -= gone;
    memmove(lane->messages, lane->messages + lane->first, lane->count * sizeof *lane->messages);
    memmove(lane->octets, lane->octets + gone, lane->used);
    for (uint32_t i = 0; i < lane->count; i++) {
        lane->messages[i].at -= gone;
    }
    lane->first = 0;
}

uint8_t *wire_lane_reserve(wire_lane *lane, uint32_t size) {
    bool full = lane->count == lane->capacity || lane->octets_capacity - lane->used < size;
    if (full && lane->first > lane->count / 2) { /* rarely enough to cost nothing */
        outbox_compact(lane);
    }
    if (lane->count == lane->capacity) {
        if (lane->capacity > UINT32_MAX / 2) {
            return NULL;
        }
        uint32_t capacity = lane->capacity > 0 ? 2 * lane->capacity : 64;
        wire_outgoing *messages = realloc(lane->messages, capacity * sizeof *messages);
        if (messages == NULL) {
            return NULL;
        }
        lane->messages = messages;
        lane->capacity = capacity;
    }
    if (lane->octets_capacity - lane->used < size) {
        uint64_t wanted = 2 * (uint64_t)lane->octets_capacity + size;
        /* Messages have their places in 32 bits. */
        uint32_t capacity = wanted < UINT32_MAX ? (uint32_t)wanted : UINT32_MAX;
        if (capacity - lane->used < size) {
            return NULL;
        }
        uint8_t *octets = realloc(lane->octets, capacity);
        if (octets == NULL) {
            return NULL;
        }
        lane->octets = octets;
        lane->octets_capacity = capacity;
    }
    return lane->octets + lane->used;
}

void wire_lane_add(wire_lane *lane, uint32_t slot, uint32_t query_id, uint32_t size, uint32_t owner) {
    lane->messages[lane->count++] = (wire_outgoing){slot, query_id, lane->used, size, owner};
    lane->used += size;
}

uint32_t wire_owner_digest(const uint8_t *octets, size_t size) {
    const uint64_t lower = 0x2020202020202020, factor = 0x9E3779B97F4A7C15;
    uint64_t digest = size;
    while (size > 0) {
        uint64_t word = 0;
        size_t part = size < sizeof word ? size : sizeof word;
        memcpy(&word, octets, part);
        digest = (digest ^ (word | lower)) * factor;
        digest ^= digest >> 32;
        octets += part;
        size -= part;
    }
    return (uint32_t)digest | 1;
}

void wire_lane_skip(wire_lane *lane) {
    if (lane->first < lane->count) {
        wire_lane_sent(lane, 1);
    }
}
