/* The DNS server that the updates go to: it accepts everything, stores nothing, and answers as the options say. */
#ifndef LOAD_SINK_H
#define LOAD_SINK_H

#include "book.h"
#include "gss.h"
#include "hosts.h"
#include "options.h"
#include "sockets.h"
#include "tsig.h"

/* A reply that waits for its time, and what it completes. */
typedef struct {
    datagram message;
    uint64_t due_ns;
    uint32_t host;
    enum step step; /* STEP_NONE: it completes nothing */
} reply;

typedef struct {
    const load_options *options;
    const host_plan *plan;
    tsig_key *key;
    gss_side *gss; /* null: keys are shared secrets, or there are none */
    book *requests;
    int socket;
    datagram *arrived; /* BATCH of them */
    reply *replies;    /* those of turns taken..made wait */
    uint32_t made;
    uint32_t taken;
    uint16_t chance[3]; /* of erand48 */
    /* what came */
    uint64_t updates;
    uint64_t malformed;
    uint64_t unknown;    /* of no host, or for no step of it */
    uint64_t unverified; /* not signed as they should be */
    uint64_t ignored;    /* left without an answer on purpose */
    uint64_t conflicts;
} sink;

/* Return a sink on its socket. */
sink sink_new(const load_options *options, const host_plan *plan, book *requests);

/* Answer what comes until keys have been agreed on, which takes so many; ends the program if that takes too long. */
void sink_await_keys(sink *of, unsigned count);

/* Receive updates, and send the replies that are due. Returns whether there was anything to do. */
bool sink_work(sink *of);

/* Return when the next reply is due, UINT64_MAX for never. */
uint64_t sink_next(const sink *of);

#endif
