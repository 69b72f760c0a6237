/*
 * Logging: messages of Kea's code and of compiled libraries go to pyd2's own log, which writes them.
 *
 * So one writer owns the files, their rotation and their lock. Kea's loggers get pyd2's levels, so that a message that
 * is switched off costs no more than in Kea.
 */
#ifndef PYD2_KEA_LOGGING_H
#define PYD2_KEA_LOGGING_H

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C interface */

/* The level of a logger. */
typedef struct kb_level {
    const char* logger;  /* the full name, such as kea-dhcp-ddns.hooks */
    int severity;        /* 1 DEBUG, 2 INFO, 3 WARN, 4 ERROR, 5 FATAL, 6 NONE */
    int debug_level;     /* 0 to 99, for DEBUG */
} kb_level;

/* Set the levels of all loggers; one that is not named has the level of its nearest parent. -1 on failure. */
int kb_log_levels(const kb_level* levels, size_t count);

/*
 * Pass the messages of other threads to the callback `log`; at most 10,000 wait for it. Returns how many were lost
 * since the last call. Messages of the hook thread are passed at once, after those that wait.
 */
int kb_log_collect(void);

/* end of the C interface */
#ifdef __cplusplus
}

namespace pyd2 {

/* Set up Kea's logging; the calling thread is the hook thread. */
void start_logging(const char* root);

}  // namespace pyd2
#endif
#endif
