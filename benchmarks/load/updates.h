/* UPDATE messages, read as far as the figures need (RFC 2136; contract, section 5.3). */
#ifndef LOAD_UPDATES_H
#define LOAD_UPDATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hosts.h"

/* What one update does for a request; a request is complete when all its steps were answered. */
enum step { STEP_NONE = 0, STEP_ADD = 1, STEP_REMOVE_ADDRESS = 2, STEP_REMOVE_NAME = 4, STEP_REVERSE = 8 };

typedef struct {
    enum step step;
    bool if_name_is_free; /* the step of an addition that a name in use refuses */
    bool known;           /* whether it is about a host */
    uint32_t host;
    size_t zone_end; /* offset behind the zone section */
    size_t tsig_at;  /* offset of the TSIG record; 0: there is none */
} update;

/* Read an update for a host below `limit`. Returns false when it is malformed or of no zone of ours. */
bool update_read(const uint8_t *message, size_t size, const host_plan *plan, uint32_t limit, update *found);

#endif
