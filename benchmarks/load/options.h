/* What is asked for on the command line; main.c explains each. */
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum change { CHANGE_ADD, CHANGE_REMOVE, CHANGE_MIXED };

typedef struct {
    /* where */
    const char *address; /* of both ends */
    uint16_t ncr_port;
    uint16_t dns_port;
    int pid; /* the daemon's; 0: unknown */
    /* what */
    enum change change;
    const char *mode;
    bool ipv6;
    bool forward;
    bool reverse;
    uint32_t domains;
    uint32_t first;
    /* how many */
    uint32_t window;
    uint32_t rate;
    uint32_t burst;
    uint32_t ramp;
    bool hold;
    double warmup;
    double seconds;
    double timeout;
    /* the DNS server */
    double delay_ms;
    double loss;
    uint32_t seed;
    unsigned conflicts;
    const char *key;
    bool gss;
    const char *control;
} load_options;

/* Return what the command line says; ends the program when it says nonsense. */
load_options options_read(int argc, char **argv);

/* Whether requests of a mode only touch what carries their DHCID: their removal takes two forward steps. */
bool mode_checks(const char *mode);

#endif
