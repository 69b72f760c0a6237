/* How many updates may be under way to one DNS server. pyd2/update/server/window.py, the same in Python, explains it. */
#ifndef PYD2_WIRE_WINDOW_H
#define PYD2_WIRE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The members are those of the Python class. Times are monotonic seconds. */
typedef struct {
    int32_t in_flight;
    int32_t limit;
    double base;
    double base_at;
    double measured;
    double rounds;
    double shortest;
    double path;
    double answered;
    double cut_at;
    double idle_since;
    double growth;
    double cap;
    double start;
    double size;
    double round_start;
    double least;
    double sum;
    double count;
    double tokens;
    double tokens_at;
    double beside_batches;
    bool measuring;
    bool slow_start;
    bool used_up;
} wire_window;

/* Make a window of at most `cap` (1 or more). */
void wire_window_init(wire_window *window, int32_t cap);

/* Change the largest window; updates already under way stay. */
void wire_window_set_cap(wire_window *window, int32_t cap);

/* Say that batches go out, too: no reply within so many seconds comes from a queue then; 0: none do. */
void wire_window_set_beside_batches(wire_window *window, double seconds);

/* Return how many updates may go out now; asked before the first of those that go out together. */
int32_t wire_window_free_places(wire_window *window, double now);

/* Return when pacing frees a place again; infinity: not before a reply. */
double wire_window_paced_until(const wire_window *window);

/* Count an update that goes out. */
void wire_window_sent(wire_window *window);

/* Count the reply to an update that went out at `sent_at`, and adapt. */
void wire_window_replied(wire_window *window, double sent_at, double now);

/* Count an update that was not answered in time. */
void wire_window_timed_out(wire_window *window, double sent_at, double now);

/* Count an update that could not be sent after all, or a batch. */
void wire_window_withdrawn(wire_window *window, double now);

#endif
