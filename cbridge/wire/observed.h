/* What is counted of requests and replies while metrics or the history are on. */
#ifndef PYD2_WIRE_OBSERVED_H
#define PYD2_WIRE_OBSERVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_RCODES = 16, WIRE_BOUNDS_MAX = 16 };

/* How many values fell between which bounds; behind the last bound are those above it. */
typedef struct {
    double bounds[WIRE_BOUNDS_MAX]; /* rising; a value that equals a bound counts below it */
    uint64_t counts[WIRE_BOUNDS_MAX + 1];
    double sum;
    uint32_t size; /* how many bounds there are */
} wire_histogram;

/* What is counted of a DNS server's replies. */
typedef struct {
    uint64_t rcodes[WIRE_RCODES]; /* of replies that need no second look */
    wire_histogram seconds;       /* from an update to the reply that answers it */
    bool on;
} wire_reply_counts;

/* Count a value. */
void wire_histogram_add(wire_histogram *histogram, double value);

/* Count a reply by its RCODE (negative: the caller judges it, and counts it) and its time in seconds. */
void wire_reply_count(wire_reply_counts *counts, int rcode, double seconds);

/* Note when packed requests, one behind the other, were read. Those of size 0 are none. */
void wire_requests_note_time(uint8_t *packed, const uint32_t *packed_sizes, size_t count, double now);

/*
 * Count packed requests that have ended: by their forward domain, or the reverse one if they have none, in
 * `by_domain`, which has a place for each number below `domains`; and by the seconds since they were read, if that
 * was noted. A record that is cut ends the work.
 */
void wire_requests_ended(const uint8_t *records, size_t size, double now, uint64_t *by_domain, size_t domains,
                         wire_histogram *seconds);

#endif
