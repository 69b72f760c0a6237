#include "options.h"

#include <getopt.h>
#include <math.h>
#include <string.h>

#include "fail.h"

static const char HELP[] =
    "usage: load --ncr-port PORT --dns-port PORT [OPTION]...\n"
    "\n"
    "Sends NameChangeRequests to a D2, answers its updates, and reports on both as one JSON object.\n"
    "\n"
    "  --address ADDRESS    the loopback address of both ends (127.0.0.1)\n"
    "  --pid PID            the D2's process, whose CPU time and memory are read\n"
    "  --change add|remove|mixed         --mode CONFLICT-RESOLUTION-MODE (check-with-dhcid)\n"
    "  --ipv6               requests for IPv6 addresses\n"
    "  --direction both|forward|reverse  which changes are asked for\n"
    "  --domains N          forward and reverse zones that take turns (1)\n"
    "  --first NUMBER       the number of the first host (0)\n"
    "  --window N           keep N requests waiting (500); or\n"
    "  --rate N             send N requests a second, whatever becomes of them; or\n"
    "  --burst N            send N requests as fast as possible\n"
    "  --ramp N             the window opens by N requests a millisecond (2)\n"
    "  --hold               answer nothing until the window is full, and fill it as fast as the D2 reads\n"
    "  --warmup S           seconds before the figures begin (0.5)\n"
    "  --seconds S          seconds of the figures (2)\n"
    "  --timeout S          seconds without an answer after which a request is lost (3)\n"
    "  --delay-ms MS        answer this much later (0)\n"
    "  --loss PERCENT       leave this part of the updates without an answer (0)\n"
    "  --seed N             which of them (1)\n"
    "  --conflicts PERCENT  of the hosts have a name in use already: YXDOMAIN, or NXRRSET to a removal (0)\n"
    "  --key ALGORITHM:NAME:BASE64       check and sign with TSIG\n"
    "  --gss                agree on keys by TKEY over UDP, check and sign with GSS-TSIG (KRB5_KTNAME)\n"
    "  --control SOCKET     another DNS server answers: count in the D2's statistic update-success\n";

bool mode_checks(const char *mode) {
    return strncmp(mode, "check", strlen("check")) == 0;
}

static double number(const char *text, double low, double high) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= low && value <= high)) {
        FAIL("%s is not a number from %g to %g", text, low, high);
    }
    return value;
}

static uint32_t count(const char *text) {
    return (uint32_t)number(text, 0, 10e6);
}

static enum change read_change(const char *text) {
    static const char *const names[] = {"add", "remove", "mixed"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            return (enum change)i;
        }
    }
    FAIL("%s is no change", text);
}

enum {
    ADDRESS = 1, NCR_PORT, DNS_PORT, PID, CHANGE, MODE, IPV6, DIRECTION, DOMAINS, FIRST, WINDOW, RATE, BURST, RAMP,
    HOLD, WARMUP, SECONDS, TIMEOUT, DELAY, LOSS, SEED, CONFLICTS, KEY, GSS, CONTROL, HELP_ASKED
};

static const struct option OPTIONS[] = {
    {"address", required_argument, NULL, ADDRESS}, {"ncr-port", required_argument, NULL, NCR_PORT},
    {"dns-port", required_argument, NULL, DNS_PORT}, {"pid", required_argument, NULL, PID},
    {"change", required_argument, NULL, CHANGE}, {"mode", required_argument, NULL, MODE},
    {"ipv6", no_argument, NULL, IPV6}, {"direction", required_argument, NULL, DIRECTION},
    {"domains", required_argument, NULL, DOMAINS}, {"first", required_argument, NULL, FIRST},
    {"window", required_argument, NULL, WINDOW}, {"rate", required_argument, NULL, RATE},
    {"burst", required_argument, NULL, BURST}, {"ramp", required_argument, NULL, RAMP},
    {"hold", no_argument, NULL, HOLD}, {"warmup", required_argument, NULL, WARMUP},
    {"seconds", required_argument, NULL, SECONDS}, {"timeout", required_argument, NULL, TIMEOUT},
    {"delay-ms", required_argument, NULL, DELAY}, {"loss", required_argument, NULL, LOSS},
    {"seed", required_argument, NULL, SEED}, {"conflicts", required_argument, NULL, CONFLICTS},
    {"key", required_argument, NULL, KEY}, {"gss", no_argument, NULL, GSS},
    {"control", required_argument, NULL, CONTROL},
    {"help", no_argument, NULL, HELP_ASKED}, {0},
};

static void set(load_options *options, int option, const char *value) {
    switch (option) {
    case ADDRESS: options->address = value; break;
    case NCR_PORT: options->ncr_port = (uint16_t)number(value, 1, 65535); break;
    case DNS_PORT: options->dns_port = (uint16_t)number(value, 1, 65535); break;
    case PID: options->pid = (int)number(value, 1, 4194304); break;
    case CHANGE: options->change = read_change(value); break;
    case MODE: options->mode = value; break;
    case IPV6: options->ipv6 = true; break;
    case DIRECTION:
        options->forward = strcmp(value, "reverse") != 0;
        options->reverse = strcmp(value, "forward") != 0;
        break;
    case DOMAINS: options->domains = (uint32_t)number(value, 1, 65536); break;
    case FIRST: options->first = count(value); break;
    case WINDOW: options->window = count(value); break;
    case RATE: options->rate = count(value); break;
    case BURST: options->burst = count(value); break;
    case RAMP: options->ramp = (uint32_t)number(value, 1, 1e6); break;
    case HOLD: options->hold = true; break;
    case WARMUP: options->warmup = number(value, 0, 600); break;
    case SECONDS: options->seconds = number(value, 0.01, 600); break;
    case TIMEOUT: options->timeout = number(value, 0.01, 600); break;
    case DELAY: options->delay_ms = number(value, 0, 10000); break;
    case LOSS: options->loss = number(value, 0, 100); break;
    case SEED: options->seed = count(value); break;
    case CONFLICTS: options->conflicts = (unsigned)number(value, 0, 100); break;
    case KEY: options->key = value; break;
    case GSS: options->gss = true; break;
    case CONTROL: options->control = value; break;
    case HELP_ASKED: fputs(HELP, stdout); exit(0);
    default: exit(2);
    }
}

load_options options_read(int argc, char **argv) {
    load_options options = {
        .address = "127.0.0.1", .mode = "check-with-dhcid", .forward = true, .reverse = true, .domains = 1,
        .ramp = 2, .warmup = 0.5, .seconds = 2, .timeout = 3, .seed = 1,
    };
    int option;
    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        set(&options, option, optarg);
    }
    if (optind < argc) {
        FAIL("%s is not an option", argv[optind]);
    }
    if (options.ncr_port == 0 || options.dns_port == 0) {
        FAIL("--ncr-port and --dns-port are needed");
    }
    if ((options.window > 0) + (options.rate > 0) + (options.burst > 0) > 1) {
        FAIL("--window, --rate and --burst exclude each other");
    }
    if (options.window + options.rate + options.burst == 0) {
        options.window = 500;
    }
    return options;
}
