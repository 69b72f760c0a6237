/* The tries under way: which transaction waits for which reply, from where, until when. No sockets, no clock. */
#ifndef PYD2_WIRE_TRIES_H
#define PYD2_WIRE_TRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "contexts.h"
#include "name.h"
#include "outbox.h"
#include "tsig.h"
#include "update.h"

/* The tries of all lanes. A transaction has a number, the caller's, and at most one try at a time. */
typedef struct wire_tries wire_tries;

/* Where an update of a step, or a question, goes, and how it looks. */
typedef struct {
    const wire_template *update; /* null: it asks for the DHCID of the FQDN */
    const wire_name *zone;
    wire_key *key; /* signs the updates; null: it does not */
    wire_contexts *contexts; /* sign them; null: they do not */
    uint16_t done; /* bit n: RCODE n completes the direction */
    uint8_t forward; /* whether its owner is the FQDN; else the reverse name of the address */
    uint8_t reserved[5];
} wire_route;

/* What goes for all that is sent together. */
typedef struct {
    double now;
    double timeout; /* seconds that a try waits */
    uint64_t wall; /* seconds since the epoch */
    const uint8_t *random; /* query IDs are the lower halves of these 32-bit numbers */
    size_t random_size;
    uint32_t slot; /* the local port */
    uint8_t goes_on; /* whether a completed direction may lead to the next update at once */
    uint8_t reserved[3];
} wire_turn;

enum wire_event_kind {
    WIRE_TRY_LAST = 0x10000, /* added to an RCODE: it completes the last direction of the request */
    WIRE_TRY_JUDGE = -1,    /* a reply to this transaction's try, which is for the caller to judge */
    WIRE_NO_TRY = -2,       /* what answers no try */
    WIRE_TRY_NEXT = -3,     /* the direction is completed, and the next update is under way */
    WIRE_TRY_FREE = -4,     /* the answer to a question: there is no such name */
    WIRE_TRY_WITHOUT = -5,  /* the name has no DHCID */
    WIRE_TRY_OURS = -6,     /* it has the request's DHCID, and no other one */
    WIRE_TRY_OTHERWISE = -7 /* it has another one */
};

/*
 * What came of a datagram: a transaction's number, and the RCODE that counts, perhaps with WIRE_TRY_LAST, or an enum
 * wire_event_kind.
 */
typedef struct {
    int32_t number;
    int32_t outcome;
} wire_event;

wire_tries *wire_tries_new(void);
void wire_tries_free(wire_tries *tries);

/* Return how many tries are under way. */
uint32_t wire_tries_count(const wire_tries *tries);

/* Return the transaction that waits for a reply of a lane to `slot << 16 | query ID`; -1: none. */
int32_t wire_tries_find(const wire_tries *tries, const wire_lane *lane, uint64_t query);

/* Return `slot << 16 | query ID` of the try that a transaction has at a lane; -1: none. */
int64_t wire_tries_query(const wire_tries *tries, uint32_t number, const wire_lane *lane);

/*
 * Enter a try whose message is the caller's to send and whose reply is the caller's to judge. It counts in the
 * lane's window, which adapts to its end if it `feeds_window`. Returns 0, or WIRE_NO_SPACE without memory.
 */
int wire_tries_enter(wire_tries *tries, wire_lane *lane, uint64_t query, uint32_t number, double now,
                     double timeout, bool feeds_window);

/*
 * Make the updates, or questions, of `count` transactions and enter their tries. `records` holds their packed requests, one
 * behind the other; `then` is where each goes when this direction is completed, null if that is for the caller
 * to decide. The messages go to the lane's outbox. Returns how many are declined: for them, whose places are
 * left in `declined`, nothing has been done.
 */
int wire_tries_send(wire_tries *tries, wire_lane *lane, const wire_turn *turn, const wire_route *const *routes,
                    const wire_route *const *then, const uint32_t *numbers, size_t count, const uint8_t *records,
                    size_t records_size, uint32_t *declined);

/*
 * Read datagrams, which came to a slot of a lane and stand `stride` octets apart (0: one directly behind the other):
 * end the tries that they answer and leave an event for each.
 */
void wire_tries_read_replies(wire_tries *tries, wire_lane *lane, uint32_t slot, const uint8_t *datagrams, size_t stride,
                     const uint32_t *sizes, size_t count, const wire_turn *turn, wire_event *events);

/* Leave the transactions that have a try at a lane, at most `count`; return how many. It searches all tries. */
size_t wire_tries_of_lane(const wire_tries *tries, const wire_lane *lane, uint32_t *numbers, size_t count);

/* End the try of a message that could not be sent. Returns its transaction, or -1 if there is no such try. */
int32_t wire_tries_withdraw(wire_tries *tries, wire_lane *lane, uint64_t query, double now);

/* End tries whose time is up, at most `count`; leave their transactions in `numbers` and return how many. */
size_t wire_tries_expire(wire_tries *tries, double now, int32_t *numbers, size_t count);

/* Return the earliest deadline; infinity if nothing is under way. */
double wire_tries_deadline(const wire_tries *tries);

/* Leave the MAC of the request whose try a transaction had last, and return its size; 0: there is none. */
size_t wire_tries_mac(const wire_tries *tries, uint32_t number, uint8_t mac[WIRE_MAC_MAX]);

/*
 * Return the context that has signed that request; null: there is none. Whether it still exists the caller has to know.
 */
const wire_context *wire_tries_context(const wire_tries *tries, uint32_t number);

/* Have no context wait for the ends of the tries under way: they will not end. */
void wire_tries_abandon(wire_tries *tries);

#endif
