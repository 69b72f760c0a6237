/* Filling the outbox. Not for Python. */
#ifndef PYD2_WIRE_OUTGOING_H
#define PYD2_WIRE_OUTGOING_H

#include "outbox.h"

/* Return room for the octets of one more message, at least `size`; null without memory. */
uint8_t *wire_lane_reserve(wire_lane *lane, uint32_t size);

/* Add the message whose octets stand in that room. */
void wire_lane_add(wire_lane *lane, uint32_t slot, uint32_t query_id, uint32_t size);

#endif
