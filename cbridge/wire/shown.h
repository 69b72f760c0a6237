/* Packed requests as log messages show them. */
#ifndef PYD2_WIRE_SHOWN_H
#define PYD2_WIRE_SHOWN_H

#include <stddef.h>
#include <stdint.h>

#include "packed.h"

enum { WIRE_SHOWN_MAX = 256 + 2 * WIRE_DHCID_MAX + WIRE_NAME_MAX }; /* octets of the longest that is made here */

/*
 * Write the lines from the FQDN to the lease's length: what stands before and behind is one of a few texts, and
 * Python's. Returns their size, or an enum wire_error: WIRE_UNUSUAL for what is no packed request.
 */
int wire_request_show(const uint8_t *packed, size_t size, uint8_t *text, size_t room);

#endif
