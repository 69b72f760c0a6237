/*
 * Statistics in Kea's StatsMgr: the server shows those of libraries, and libraries can read the server's own there.
 *
 * Only the hook thread uses it.
 */
#ifndef PYD2_KEA_STATS_H
#define PYD2_KEA_STATS_H

#include "elements.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C interface */

/* Set an integer statistic, which need not exist yet. -1 on failure. */
int kb_stats_set(const char* name, int64_t value);

/* Read an integer statistic: 1 if it exists, else 0; -1 if it is not an integer. */
int kb_stats_value(const char* name, int64_t* value);

/* Set a statistic, or all with NULL, to its neutral value: 1 if it exists, else 0; -1 on failure. */
int kb_stats_reset(const char* name);

/* Return all statistics as statistic-get-all shows them: a map of names to samples. NULL on failure. */
kb_element* kb_stats_all(void);

/* end of the C interface */
#ifdef __cplusplus
}
#endif
#endif
