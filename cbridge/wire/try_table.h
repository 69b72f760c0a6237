/* The table of tries from inside. Not for Python. */
#ifndef PYD2_WIRE_TRY_TABLE_H
#define PYD2_WIRE_TRY_TABLE_H

#include <stdbool.h>

#include "tries.h"

enum { WIRE_NONE = -1, WIRE_KEPT_MAX = 256 };

/* A try; its place in the table is its transaction's number. */
typedef struct {
    wire_lane *lane; /* null: none under way */
    const wire_route *route; /* null: its reply is for the caller to judge */
    const wire_route *then;  /* where it goes when its direction is completed; null: the caller decides */
    wire_context *context;   /* has signed the last message; null: none */
    int64_t context_number;  /* of that message */
    uint64_t query;
    double sent_at;
    double deadline;
    int32_t chain;  /* the next one in its place of the hash table */
    int32_t before; /* in its queue of deadlines */
    int32_t behind;
    uint32_t queue;
    bool feeds_window; /* whether its end says something to the lane's window */
    bool last;         /* whether its direction is the last one of the request */
    uint8_t mac_size;
    uint8_t mac[WIRE_MAC_MAX];
    uint8_t record[WIRE_KEPT_MAX]; /* the packed request, if there is a `then`, or the route asks */
} wire_try;

/* The tries of one length of timeout: the order of sending is the order of expiry. */
typedef struct {
    double timeout;
    int32_t first;
    int32_t last;
} wire_deadlines;

struct wire_tries {
    wire_try *tries;
    size_t capacity;
    int32_t *table;
    size_t mask;
    wire_deadlines *queues;
    size_t queues_count;
    uint32_t count;
};

/* Have a place for a transaction's number. Returns whether there is one, or memory for it. */
bool wire_tries_reserve(wire_tries *tries, uint32_t number);

/* Leave the number of the queue of a timeout. Returns whether there is one, or memory for a new one. */
bool wire_tries_find_queue(wire_tries *tries, double timeout, uint32_t *found);

/* Enter a try whose place is reserved; the caller sets what is left. */
wire_try *wire_tries_add(wire_tries *tries, wire_lane *lane, uint64_t query, uint32_t number, double now,
                         uint32_t queue_number);

/* Remove a try; counting it in its lane's window is the caller's task. */
void wire_tries_end(wire_tries *tries, int32_t number);

#endif
