/*
 * Statistics: those that libraries keep in Kea's StatsMgr are shown by the server, and the server's own can be
 * read there by libraries.
 *
 * All of it is used by the loop's thread only.
 */
#ifndef PYD2_KEA_STATS_H
#define PYD2_KEA_STATS_H

#include "elements.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C face */

/* Set an integer statistic, and make it when it is new. -1 on failure. */
int kb_stats_set(const char* name, int64_t value);

/* Read an integer statistic: 1 when there is one of the name, 0, -1 when it holds something else. */
int kb_stats_value(const char* name, int64_t* value);

/* Set a statistic, or all with NULL, to its neutral value: 1 when it was there, 0, -1. */
int kb_stats_reset(const char* name);

/* Return all statistics as statistic-get-all shows them: a map of names to samples. NULL on failure. */
kb_element* kb_stats_all(void);

/* end of the C face */
#ifdef __cplusplus
}
#endif
#endif
