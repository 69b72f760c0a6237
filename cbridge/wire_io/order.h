/* The order in which the messages of an outbox go out together. */
#ifndef PYD2_WIRE_IO_ORDER_H
#define PYD2_WIRE_IO_ORDER_H

#include "outbox.h"

/*
 * Put messages of one size beside each other, the longest first, among the first `count` ones, which are at most
 * WIRE_BATCH_MAX. Two of one owner keep their order, and what was put in order before stays.
 */
void wire_lane_order(wire_lane *lane, uint32_t count);

#endif
