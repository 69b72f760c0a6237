/* Messages of a DNS server that are written and not yet sent, in order. */
#ifndef PYD2_WIRE_OUTBOX_H
#define PYD2_WIRE_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

#include "observed.h"
#include "quarantine.h"
#include "window.h"

/* A message of the outbox. */
typedef struct {
    uint32_t slot;
    uint32_t query_id;
    uint32_t at; /* its offset in `octets` */
    uint32_t size;
    uint32_t owner; /* a digest of the name that the update changes */
} wire_outgoing;

/* Whether messages of one size go to the kernel as one that it cuts into segments (UDP_SEGMENT). */
enum wire_segmentation { WIRE_SEGMENTATION_UNTRIED, WIRE_SEGMENTATION_ON, WIRE_SEGMENTATION_OFF };

/* All that C knows of a DNS server. */
typedef struct {
    wire_window window;
    wire_quarantine quarantined;
    wire_outgoing *messages;
    uint8_t *octets;
    uint32_t first; /* the messages before it are sent */
    uint32_t count;
    uint32_t capacity; /* of `messages` */
    uint32_t used;     /* octets */
    uint32_t octets_capacity;
    uint32_t ordered; /* the messages before it are in the order in which they go out */
    int32_t segmentation; /* an enum wire_segmentation */
    int32_t refused; /* the errno with which the kernel refused segments, until the caller sets it to 0 */
    wire_reply_counts replies;
} wire_lane;

/* Return a lane with a window of at most `cap`; null without memory. */
wire_lane *wire_lane_new(int32_t cap);
void wire_lane_free(wire_lane *lane);

/* Remove the first message without sending it. */
void wire_lane_skip(wire_lane *lane);

#endif
