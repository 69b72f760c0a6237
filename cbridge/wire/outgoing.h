/* The outbox from inside. Not for Python. */
#ifndef PYD2_WIRE_OUTGOING_H
#define PYD2_WIRE_OUTGOING_H

#include "outbox.h"

/* Return where the octets of one more message go, at least `size` of them; null without memory. */
uint8_t *wire_lane_reserve(wire_lane *lane, uint32_t size);

/* Add the message whose octets stand there. */
void wire_lane_add(wire_lane *lane, uint32_t slot, uint32_t query_id, uint32_t size, uint32_t owner);

/* Return a digest of the name or address that an update changes, not 0: the same in upper and lower case. */
uint32_t wire_owner_digest(const uint8_t *octets, size_t size);

/* Remove the first messages, which are sent. When nothing is left, the outbox begins at its beginning again. */
static inline void wire_lane_sent(wire_lane *lane, uint32_t count) {
    lane->first += count;
    if (lane->first == lane->count) {
        lane->first = lane->count = lane->used = lane->ordered = 0;
    }
}

#endif
