/* The account of each request: when it was due, which of its updates were answered, how long that took. */
#ifndef LOAD_BOOK_H
#define LOAD_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"
#include "updates.h"

typedef struct {
    uint64_t due_ns; /* when it was to be sent */
    uint8_t left; /* enum step: those without an answer */
    bool given_up;
} entry;

typedef struct {
    uint32_t first; /* host of the first entry */
    entry *entries;
    size_t capacity;
    uint32_t sent;
    uint32_t completed;
    uint32_t given_up; /* without an answer for too long, and not answered since */
    uint32_t late;     /* answered after they were given up */
    uint64_t repeated; /* updates that were answered before */
    uint64_t last_ns;  /* when the last request was completed */
    /* the figures */
    bool counting;
    uint32_t counted;         /* requests completed meanwhile */
    uint64_t latencies_from_ns; /* requests due since then have their time taken */
    uint32_t *latencies;      /* in tenths of a microsecond */
    size_t latencies_count;
    size_t latencies_capacity;
    uint32_t oldest; /* all before this entry are complete or given up */
} book;

/* Return the steps of a request: bits of enum step. */
uint8_t steps_of(const load_options *options, bool removes);

/* Note that the next host's request, which was due at a time, is on its way. */
void book_sent(book *of, uint8_t steps, uint64_t due);

/* Note that an update was answered so that its step is done. */
void book_answered(book *of, uint32_t host, enum step step, uint64_t now);

/* Note that a request, by its place in the book, is complete. */
void book_completed(book *of, uint32_t index, uint64_t now);

/* Give up the requests that were due before this time. */
void book_give_up(book *of, uint64_t due_before);

/* Return how many requests are under way, without those that were given up. */
uint32_t book_outstanding(const book *of);

/* Sort the latencies. */
void book_sort(book *of);

/* Return a quantile of the sorted latencies in milliseconds: the smallest that so many do not exceed. */
double book_quantile(const book *of, double part);

#endif
