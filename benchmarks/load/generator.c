#include "generator.h"

#include "clock.h"
#include "fail.h"
#include "process.h"
#include "requests.h"

enum {
    WINDOW_FIRST = 32,
    POLLED_BATCH = 32,        /* requests a millisecond, where completions are seen all at once */
    QUEUE_MAX = 64 << 10,     /* octets before the D2 that has to read them, while the window opens */
    CATCH_UP_S = 1,           /* for the requests to fill the window, once it is open */
    LOOK_MS = 100,
    DRAIN_S = 120
};

generator generator_new(const load_options *options, const host_plan *plan, book *requests) {
    requests_prepare(options);
    return (generator){
        .options = options,
        .plan = plan,
        .requests = requests,
        .socket = socket_connected(options->address, options->ncr_port),
        .batch = get_memory(BATCH, sizeof(datagram)),
        .start_ns = now_ns(),
        .phase_ns = now_ns(),
    };
}

bool generator_holds(const generator *of) {
    return of->options->hold && of->phase == OPENING;
}

static double seconds_between(uint64_t from, uint64_t to) {
    return (double)(to - from) / (double)NS_PER_S;
}

/* How wide the window is by now. */
static uint32_t window_now(const generator *of, uint64_t now) {
    uint64_t opened = WINDOW_FIRST + (now - of->start_ns) / NS_PER_MS * of->options->ramp;
    return of->options->hold || opened > of->options->window ? of->options->window : (uint32_t)opened;
}

static uint32_t allowed(const generator *of, uint64_t now) {
    const load_options *options = of->options;
    uint32_t count;
    if (options->burst > 0) {
        count = options->burst - of->requests->sent;
    } else if (options->rate > 0) {
        uint64_t due = (uint64_t)(seconds_between(of->start_ns, now) * options->rate);
        count = due > of->requests->sent ? (uint32_t)(due - of->requests->sent) : 0;
    } else {
        uint32_t outstanding = book_outstanding(of->requests);
        uint32_t window = window_now(of, now);
        count = window > outstanding ? window - outstanding : 0;
    }
    bool opening = of->phase == OPENING && options->window > 0;
    if (count > 0 && opening && receive_queue_of(options->ncr_port).waiting > QUEUE_MAX) {
        return 0;
    }
    uint32_t most = BATCH;
    if (options->control != NULL) {
        most = now - of->sent_ns < NS_PER_MS ? 0 : POLLED_BATCH;
    }
    return count < most ? count : most;
}

/* Return when the next request is due, where requests have their time; else `otherwise`. */
static uint64_t next_due(const generator *of, uint64_t otherwise) {
    if (of->options->rate == 0) {
        return otherwise;
    }
    return of->start_ns + (uint64_t)((of->requests->sent + 1.0) / of->options->rate * (double)NS_PER_S);
}

uint64_t generator_next(const generator *of) {
    return of->phase < DRAINING ? next_due(of, UINT64_MAX) : UINT64_MAX;
}

static void send_requests(generator *of, uint32_t count) {
    datagram *batch[BATCH];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t host = of->requests->first + of->requests->sent + i;
        batch[i] = &of->batch[i];
        batch[i]->size = request_write(of->plan, request_removes(of->options, host), host, batch[i]->octets);
    }
    of->sent_ns = now_ns(); /* before they leave: nothing may be answered before it was sent */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t host = of->requests->first + of->requests->sent;
        /* Its time runs from when it was due: what a late generator has kept waiting has waited. */
        uint64_t due = next_due(of, of->sent_ns);
        book_sent(of->requests, steps_of(of->options, request_removes(of->options, host)), due);
    }
    send_batch(of->socket, batch, count);
}

static void enter(generator *of, enum phase phase, uint64_t now) {
    of->phase = phase;
    of->phase_ns = now;
    if (phase == MEASURING) {
        of->begin_ns = now;
        of->requests->counting = true;
        of->requests->latencies_from_ns = now;
    } else if (phase == DRAINING && of->options->burst == 0) {
        of->end_ns = now;
        of->requests->counting = false;
    } else if (phase == DONE && of->options->burst > 0) {
        of->end_ns = of->requests->last_ns > of->begin_ns ? of->requests->last_ns : now;
        of->requests->counting = false;
    }
}

/* Whether the phase is over. */
static bool is_over(const generator *of, uint64_t now) {
    const load_options *options = of->options;
    const book *requests = of->requests;
    double lasted = seconds_between(of->phase_ns, now);
    switch (of->phase) {
    case OPENING: {
        double opened_s = options->window / (1e3 * options->ramp);
        return options->window == 0 || of->filled || (!options->hold && lasted > opened_s + CATCH_UP_S);
    }
    case WARMING:
        return options->burst > 0 || lasted >= options->warmup;
    case MEASURING:
        if (options->burst > 0) {
            return requests->sent >= options->burst;
        }
        /* Those that were due until then are sent, however late. */
        return lasted >= options->seconds &&
               next_due(of, UINT64_MAX) > of->phase_ns + (uint64_t)(options->seconds * (double)NS_PER_S);
    case DRAINING: {
        uint64_t progress = requests->last_ns > of->sent_ns ? requests->last_ns : of->sent_ns;
        return options->hold || requests->completed == requests->sent || lasted > DRAIN_S ||
               (now > progress && seconds_between(progress, now) > options->timeout);
    }
    default:
        return false;
    }
}

bool generator_work(generator *of, uint64_t now) {
    while (is_over(of, now)) {
        enter(of, of->phase + 1, now);
    }
    if (of->phase >= DRAINING) {
        return false;
    }
    if (of->options->window > 0 && !of->options->hold && now >= of->look_ns) {
        of->look_ns = now + LOOK_MS * NS_PER_MS;
        uint64_t timeout = (uint64_t)(of->options->timeout * (double)NS_PER_S);
        book_give_up(of->requests, now > timeout ? now - timeout : 0);
    }
    uint32_t count = allowed(of, now);
    if (count > 0) {
        send_requests(of, count);
        of->filled = of->filled || book_outstanding(of->requests) >= of->options->window;
    }
    return count > 0;
}
