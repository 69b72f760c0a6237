/* UPDATE messages with the changes of many owners. pyd2/dns/batch.py is the same in Python, with an explanation. */
#ifndef PYD2_WIRE_UPDATE_BATCH_H
#define PYD2_WIRE_UPDATE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "name.h"
#include "update.h"

enum {
    WIRE_UPDATES_MAX = 512, /* owners in one message */
    WIRE_RESTS_MAX = 16     /* names that targets share but for their host, to which there are pointers */
};

/*
 * Write an UPDATE message with the changes of `count` packed requests, which stand one behind the other in
 * `records`, with query ID 0 and without TSIG. `templates` has that of each; `forward`: their owners are the FQDNs,
 * else the reverse names of the addresses. Owners must differ, ignoring case. Returns the message's size or an enum
 * wire_error.
 */
int wire_batch_write(const wire_name *zone, const wire_template *const *templates, size_t count, const uint8_t *records,
                     size_t records_size, bool forward, uint8_t *buffer, size_t buffer_size);

#endif
