/* Packed requests as log messages show them. */
#ifndef PYD2_WIRE_SHOWN_H
#define PYD2_WIRE_SHOWN_H

#include <stddef.h>
#include <stdint.h>

#include "packed.h"

enum { WIRE_SHOWN_MAX = 512 + 4 * WIRE_DHCID_MAX + WIRE_NAME_MAX }; /* octets of an ID and a text at most */

/* The parts of a log line around a request's ID and text. */
typedef struct {
    const char *before, *between, *after;
    size_t before_size, between_size, after_size;
} wire_line;

/* Write the text of a packed request. Returns its size, or an enum wire_error: WIRE_UNUSUAL if it is none. */
int wire_request_show(const uint8_t *packed, size_t size, uint8_t *text, size_t capacity);

/*
 * Write a line for each of the packed requests that stand there one behind the other, as far as the buffers
 * have space for lines and for ends: ends[i] is where line i ends. Returns how many were written, or an enum wire_error.
 */
int wire_requests_show(const uint8_t *packed, size_t size, const wire_line *line, uint8_t *text, size_t capacity,
                       uint32_t *ends, size_t count);

#endif
