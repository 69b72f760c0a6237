/*
 * Logging: what Kea's code and compiled libraries log is handed to pyd2's own log, which writes it.
 *
 * So one writer owns files, their rolling and their lock. Levels are given to Kea's loggers, so that a message
 * that is switched off costs what it costs in Kea.
 */
#ifndef PYD2_KEA_LOGGING_H
#define PYD2_KEA_LOGGING_H

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C face */

/* A logger and what it lets pass. */
typedef struct kb_level {
    const char* logger;  /* the full name, such as kea-dhcp-ddns.hooks */
    int severity;        /* 1 DEBUG, 2 INFO, 3 WARN, 4 ERROR, 5 FATAL, 6 NONE */
    int debug_level;     /* 0 to 99, counts for DEBUG */
} kb_level;

/* Set the levels of all loggers anew; those that are not named follow the nearest above them. -1 on failure. */
int kb_log_levels(const kb_level* levels, size_t count);

/*
 * Hand over what other threads have logged meanwhile, through the callback `log`. Messages of the loop's
 * thread are handed over at once, after those that came before them. Returns how many were lost since the last
 * time, for no more than 10,000 are kept.
 */
int kb_log_collect(void);

/* end of the C face */
#ifdef __cplusplus
}

namespace pyd2 {

/* Set Kea's logging up; the calling thread becomes the one whose messages are handed over at once. */
void start_logging(const char* root);

}  // namespace pyd2
#endif
#endif
