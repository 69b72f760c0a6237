/* The figures of a run, as JSON. */
#ifndef LOAD_REPORT_H
#define LOAD_REPORT_H

#include "generator.h"
#include "process.h"
#include "sink.h"

/* What is read when the figures begin, and again when they end. */
typedef struct {
    uint64_t d2_cpu_ns;
    uint64_t own_cpu_ns;
    long d2_memory_kb;
    uint64_t updates;
} reading;

reading take_reading(const load_options *options, const sink *server);

typedef struct {
    const generator *sender;
    const sink *server; /* null: another one answered */
    const book *requests;
    long first_memory_kb; /* before anything was sent */
    reading begin;
    reading end;
    unsigned long kernel_drops; /* datagrams lost before the D2 */
    unsigned long sink_drops;   /* datagrams lost before the sink: then the figures are worth nothing */
} run_result;

/* Print one line. */
void report_print(const run_result *result);

#endif
