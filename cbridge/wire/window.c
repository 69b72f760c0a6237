#include "window.h"

#include <math.h>

/* The figures are those of pyd2/update/server/window.py, measured against BIND. Updates, and seconds. */
static const double
    START = 32,          /* the window at first and after a pause: what Kea allows in all */
    FLOOR = 4,           /* the smallest window, and the one that measures the empty path */
    QUEUED_LOW = 8,      /* fewer updates queued at the server than this: it could do more, so grow */
    QUEUED_SPAN = 24,    /* more than this beyond the low mark: shrink to the low mark */
    QUEUED_TIME = 0.002, /* seconds of the server's work that count as little queued, whatever its speed */
    GROWTH = 32,         /* updates that a window grows by in a round at most */
    COMMITS = 2.5,       /* replies that take less than so many times the base come from no queue, */
    LONG = 0.125,        /* and less than so many seconds (a quarter of Kea's timeout), */
    UNQUEUED = 96,       /* as long as this many or less are under way */
    REMEASURE = 10,      /* seconds after which the base is measured again, */
    STEADY = 2,          /* until none of two rounds in a row takes so many times what the other takes, */
    MOST_ROUNDS = 6,     /* or for so many rounds: there are servers whose replies never take the same time */
    RECOVER = 5,         /* seconds after a cut for which the window may stay below START */
    IDLE = 0.05,         /* seconds without an update under way that are a pause, at least */
    SHORTEST = 1e-6,     /* a reply time is not taken for less: it divides */
    ROUND_REPLIES = 3;   /* a round ends with more replies than this */
static const double
    PACED_FROM = 96,     /* a window above this is paced */
    PACED_BASE = 0.001,  /* ... if the server is this far away: nearer ones pace by their replies */
    PACE = 1.25,         /* how much faster than a window per round trip updates may go out */
    BURST = 32,          /* updates that may go out together all the same */
    BURST_TIME = 0.002;  /* ... or so many seconds of the pace: as often as the loop's timer can wake */

/* Not fmin and fmax, which cost a call. */
static inline double least_of(double one, double other) {
    return one < other ? one : other;
}

static inline double most_of(double one, double other) {
    return one > other ? one : other;
}

static void resize(wire_window *window, double size) {
    window->size = size;
    window->limit = (int32_t)(window->measuring ? least_of(FLOOR, size) : size);
}

static void begin_round(wire_window *window, double now) {
    window->round_start = now;
    window->least = INFINITY;
    window->sum = 0;
    window->count = 0;
    window->used_up = false;
}

void wire_window_init(wire_window *window, int32_t cap) {
    *window = (wire_window){0};
    window->base = INFINITY;
    window->base_at = -INFINITY;
    window->shortest = INFINITY;
    window->answered = -INFINITY;
    window->cut_at = -INFINITY;
    window->idle_since = INFINITY;
    window->slow_start = true;
    window->cap = cap;
    window->start = least_of(START, cap);
    begin_round(window, -INFINITY);
    resize(window, window->start);
}

void wire_window_set_cap(wire_window *window, int32_t cap) {
    window->cap = cap;
    window->start = least_of(START, cap);
    resize(window, least_of(window->size, window->cap));
}

void wire_window_set_beside_batches(wire_window *window, double seconds) {
    window->beside_batches = seconds;
    if (seconds > 0) {
        window->measuring = false;
        resize(window, window->size);
    }
}

/* Return how many updates a second may go out, or 0 if they are not paced. */
static double pace(const wire_window *window) {
    return window->size > PACED_FROM && window->path >= PACED_BASE ? PACE * window->size / window->path : 0;
}

/* Begin again: a large window from before would arrive as one burst. */
static void after_idle(wire_window *window, double now) {
    window->measuring = false;
    window->growth = 0;
    if (window->size > window->start) {
        window->slow_start = true;
        window->size = window->start;
    }
    resize(window, window->size);
    begin_round(window, now);
}

int32_t wire_window_free_places(wire_window *window, double now) {
    if (window->in_flight == 0 && now - window->idle_since > most_of(IDLE, 4 * least_of(window->base, IDLE))) {
        after_idle(window, now);
    }
    int32_t free_places = window->limit - window->in_flight;
    double rate = pace(window);
    if (rate > 0 && free_places > 0) {
        double tokens = window->tokens + (now - window->tokens_at) * rate;
        window->tokens = least_of(tokens, most_of(BURST, rate * BURST_TIME));
        window->tokens_at = now;
        free_places = (int32_t)least_of(free_places, window->tokens);
    }
    return free_places;
}

double wire_window_paced_until(const wire_window *window) {
    double rate = pace(window);
    if (rate <= 0 || window->in_flight >= window->limit) {
        return INFINITY;
    }
    return window->tokens_at + most_of(0, most_of(BURST, rate * BURST_TIME) / 2 - window->tokens) / rate;
}

void wire_window_sent(wire_window *window) {
    window->in_flight++;
    window->tokens = most_of(0, window->tokens - 1);
    if (window->in_flight >= window->limit) {
        window->used_up = true;
    }
}

static void adapt(wire_window *window, double mean, double now) {
    double size = window->size;
    double queued = size * (1 - window->base / window->least);
    bool batches = window->beside_batches > 0;
    if (mean < (batches ? window->beside_batches : least_of(COMMITS * window->base, LONG))) {
        queued = least_of(queued, size - UNQUEUED);
    }
    double low = most_of(QUEUED_LOW, size / mean * QUEUED_TIME);
    double growth = 0;
    if (queued > low + QUEUED_SPAN) {
        size -= queued - low;
        window->slow_start = false;
    } else if (queued >= low) {
        window->slow_start = false;
    } else if (window->used_up) {
        growth = least_of(window->slow_start ? size / 2 : 4 + size / 32, GROWTH) / size;
    }
    window->measuring = window->used_up && now - window->base_at > REMEASURE && !batches;
    window->growth = window->measuring ? 0 : growth;
    if (size < window->start && now - window->cut_at > RECOVER) {
        size = window->start;
    }
    resize(window, most_of(size, least_of(FLOOR, window->cap)));
}

static void measure(wire_window *window, double mean, double now) {
    window->rounds++;
    window->shortest = least_of(window->shortest, window->least);
    bool steady = most_of(mean, window->measured) < STEADY * least_of(mean, window->measured);
    if (steady || window->rounds >= MOST_ROUNDS) {
        window->base = (window->measured + mean) / 2;
        window->path = window->shortest; /* the pace would hold the window down if it went by the average */
        window->base_at = now;
        window->measuring = false;
        resize(window, window->size);
    }
    window->measured = mean;
}

static void end_round(wire_window *window, double now) {
    double mean = window->sum / window->count;
    if (window->measuring) {
        measure(window, mean, now);
    } else {
        if (isinf(window->base)) {
            window->base = mean;
            window->path = window->least;
        }
        adapt(window, mean, now);
        window->measured = 0;
        window->rounds = 0;
        window->shortest = INFINITY;
    }
    begin_round(window, now);
}

static void leave(wire_window *window, double now) {
    if (window->in_flight == 0) {
        window->idle_since = now;
    }
}

void wire_window_replied(wire_window *window, double sent_at, double now) {
    window->in_flight--;
    window->answered = most_of(sent_at, window->answered);
    if (window->growth > 0 && window->size < window->cap) {
        resize(window, least_of(window->size + window->growth, window->cap));
    }
    bool of_this_round = sent_at >= window->round_start;
    if (of_this_round || !window->measuring) { /* earlier ones say nothing about the empty path */
        double delay = most_of(now - sent_at, SHORTEST);
        window->least = least_of(delay, window->least);
        window->sum += delay;
        window->count++;
        if (of_this_round && window->count > ROUND_REPLIES) {
            end_round(window, now);
        }
    }
    leave(window, now);
}

void wire_window_timed_out(wire_window *window, double sent_at, double now) {
    window->in_flight--;
    if (sent_at >= window->cut_at) {
        double half = most_of(window->size / 2, least_of(FLOOR, window->cap));
        window->measuring = false; /* else it would stay at its floor until the server answers again */
        if (window->size > window->start) {
            window->base_at = -INFINITY; /* it has let the window grow too far */
        }
        resize(window, window->answered >= sent_at ? half : window->start);
        window->cut_at = now;
        window->growth = 0;
        window->slow_start = false;
    }
    leave(window, now);
}

void wire_window_withdrawn(wire_window *window, double now) {
    window->in_flight--;
    leave(window, now);
}
