#include "report.h"

#include <math.h>
#include <stdio.h>

#include "clock.h"

reading take_reading(const load_options *options, const sink *server) {
    return (reading){
        .d2_cpu_ns = process_cpu_ns(options->pid),
        .own_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
        .d2_memory_kb = process_memory_kb(options->pid, false),
        .updates = server != NULL ? server->updates : 0,
    };
}

static void print_number(const char *name, double value) {
    if (isfinite(value)) {
        printf(", \"%s\": %.4f", name, value);
    } else {
        printf(", \"%s\": null", name);
    }
}

static void print_count(const char *name, uint64_t value) {
    printf(", \"%s\": %llu", name, (unsigned long long)value);
}

void report_print(const run_result *result) {
    const generator *sender = result->sender;
    const book *requests = result->requests;
    const load_options *options = sender->options;
    double seconds = (double)(sender->end_ns - sender->begin_ns) / (double)NS_PER_S;
    double d2_us = (double)(result->end.d2_cpu_ns - result->begin.d2_cpu_ns) / 1e3;
    double own_us = (double)(result->end.own_cpu_ns - result->begin.own_cpu_ns) / 1e3;
    double counted = requests->counted > 0 ? (double)requests->counted : (double)NAN;

    printf("{\"sent\": %u", requests->sent);
    print_count("completed", requests->completed);
    /* What is still queued when a run on a deep queue ends is not lost. */
    print_count("lost", options->hold ? result->kernel_drops : requests->sent - requests->completed);
    print_count("late", requests->late);
    print_count("kernel_drops", result->kernel_drops);
    print_number("seconds", seconds);
    print_count("counted", requests->counted);
    print_number("rate", requests->counted / seconds);
    print_number("cpu_us", options->pid > 0 ? d2_us / counted : NAN);
    print_number("d2_load", options->pid > 0 ? d2_us / 1e6 / seconds : NAN);
    print_number("generator_load", own_us / 1e6 / seconds);
    if (options->control == NULL) {
        print_number("p50_ms", book_quantile(requests, 0.5));
        print_number("p99_ms", book_quantile(requests, 0.99));
        print_number("p999_ms", book_quantile(requests, 0.999));
        print_number("max_ms", book_quantile(requests, 1));
    }
    print_count("first_rss_kb", (uint64_t)result->first_memory_kb);
    print_count("begin_rss_kb", (uint64_t)result->begin.d2_memory_kb);
    print_count("end_rss_kb", (uint64_t)result->end.d2_memory_kb);
    print_count("peak_rss_kb", (uint64_t)process_memory_kb(options->pid, true));
    print_number("send_rate", requests->sent / ((double)(sender->sent_ns - sender->start_ns) / (double)NS_PER_S));
    if (result->server != NULL) {
        print_number("updates_rate", (double)(result->end.updates - result->begin.updates) / seconds);
        print_count("updates", result->server->updates);
        print_count("repeated", requests->repeated);
        print_count("malformed", result->server->malformed);
        print_count("unknown", result->server->unknown);
        print_count("unverified", result->server->unverified);
        print_count("ignored", result->server->ignored);
        print_count("conflicts", result->server->conflicts);
        print_count("sink_drops", result->sink_drops);
    }
    puts("}");
}
