/* When to send requests, and when the figures begin and end. */
#ifndef LOAD_GENERATOR_H
#define LOAD_GENERATOR_H

#include "book.h"
#include "hosts.h"
#include "options.h"
#include "sockets.h"

/* A run goes through these in order. */
enum phase {
    OPENING,   /* the window opens little by little: a burst would not fit into a small socket buffer */
    WARMING,   /* all is as it will be, but the figures have not begun */
    MEASURING, /* what is completed counts */
    DRAINING,  /* nothing is sent any more; what is under way may still be answered */
    DONE
};

typedef struct {
    const load_options *options;
    const host_plan *plan;
    book *requests;
    int socket;
    datagram *batch; /* BATCH of them */
    enum phase phase;
    uint64_t start_ns;
    uint64_t phase_ns; /* when the phase began */
    uint64_t look_ns;  /* when to look next at what only needs a look now and then */
    bool filled;       /* whether as many requests have waited as the window allows */
    uint64_t sent_ns;  /* when the last request was sent */
    uint64_t begin_ns; /* of the figures */
    uint64_t end_ns;
} generator;

/* Return a generator that has sent nothing. */
generator generator_new(const load_options *options, const host_plan *plan, book *requests);

/* Send what may be sent now, and go on to the next phase when it is time. Returns whether anything was sent. */
bool generator_work(generator *of, uint64_t now);

/* Return when the next request is to be sent, where requests have their time; else UINT64_MAX. */
uint64_t generator_next(const generator *of);

/* Whether the sink is to leave all updates unread. */
bool generator_holds(const generator *of);

#endif
