/* Drives a D2: sends NameChangeRequests and answers the updates that come of them. See options.c for its use. */
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>

#include "book.h"
#include "clock.h"
#include "fail.h"
#include "generator.h"
#include "process.h"
#include "report.h"
#include "sink.h"
#include "statistic.h"

enum { POLL_MS = 20 };

static volatile sig_atomic_t stopped;

static void stop(int number) {
    (void)number;
    stopped = 1;
}

/* Wait until an update comes, or a reply or request is due; a millisecond at most. */
static void rest(const generator *sender, const sink *server) {
    struct pollfd event = {.fd = server != NULL ? server->socket : -1, .events = POLLIN};
    uint64_t now = now_ns();
    uint64_t due = now + NS_PER_MS;
    uint64_t next[] = {generator_next(sender), server != NULL ? sink_next(server) : UINT64_MAX};
    for (unsigned i = 0; i < 2; i++) {
        due = next[i] < due ? next[i] : due;
    }
    struct timespec time = {0, due > now ? (long)(due - now) : 0};
    ppoll(&event, server != NULL, &time, NULL);
}

/* Complete as many requests, in the order they were sent, as the D2 says that it has done updates. */
static void count_successes(book *requests, const load_options *options, long long before) {
    unsigned updates = (unsigned)__builtin_popcount(steps_of(options, options->change == CHANGE_REMOVE));
    long long successes = statistic_successes(options->control) - before;
    uint64_t now = now_ns();
    while (requests->completed < requests->sent && (long long)(requests->completed + 1) * updates <= successes) {
        book_completed(requests, requests->completed, now);
    }
}

static void run(const load_options *options, generator *sender, sink *server, run_result *result) {
    long long before = options->control != NULL ? statistic_successes(options->control) : 0;
    uint64_t poll_ns = 0;
    if (before < 0) {
        FAIL("no answer at %s", options->control);
    }
    while (sender->phase != DONE && !stopped) {
        bool worked = server != NULL && !generator_holds(sender) && sink_work(server);
        uint64_t now = now_ns();
        if (options->control != NULL && now >= poll_ns) {
            count_successes(sender->requests, options, before);
            poll_ns = now_ns() + POLL_MS * NS_PER_MS;
        }
        enum phase phase = sender->phase;
        worked = generator_work(sender, now) || worked;
        if (phase < MEASURING && sender->phase >= MEASURING) {
            result->begin = take_reading(options, server);
        } else if (phase == MEASURING && sender->phase > MEASURING && options->burst == 0) {
            result->end = take_reading(options, server);
        }
        if (!worked && sender->phase != DONE) {
            rest(sender, generator_holds(sender) ? NULL : server);
        }
    }
    if (options->burst > 0 || stopped) {
        result->end = take_reading(options, server);
    }
}

int main(int argc, char **argv) {
    const load_options options = options_read(argc, argv);
    const host_plan plan = {.domains = options.domains, .ipv6 = options.ipv6};
    book requests = {.first = options.first};
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    prctl(PR_SET_TIMERSLACK, 1000UL); /* nanoseconds: requests and replies go out on time */
    sink server;
    if (options.control == NULL) {
        server = sink_new(&options, &plan, &requests);
    }
    if (options.gss && options.control == NULL) {
        sink_await_keys(&server, 1);
    }
    generator sender = generator_new(&options, &plan, &requests);
    sink *answering = options.control == NULL ? &server : NULL;
    unsigned long drops = receive_queue_of(options.ncr_port).dropped;
    run_result result = {
        .sender = &sender,
        .server = answering,
        .requests = &requests,
        .first_memory_kb = process_memory_kb(options.pid, false),
    };
    run(&options, &sender, answering, &result);
    unsigned long dropped = receive_queue_of(options.ncr_port).dropped;
    result.kernel_drops = dropped > drops ? dropped - drops : 0; /* fewer: the D2 has made a new socket */
    result.sink_drops = answering != NULL ? receive_queue_of(options.dns_port).dropped : 0;
    book_sort(&requests);
    report_print(&result);
    return 0;
}
