/* Domain names on the wire (RFC 1035, sections 3.1 and 4.1.4). */
#ifndef PYD2_WIRE_NAME_H
#define PYD2_WIRE_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_NAME_MAX = 255 };

/* An uncompressed name with its labels found. The comparison ignores the case of ASCII characters. */
typedef struct {
    uint8_t wire[WIRE_NAME_MAX];  /* as it was given */
    uint8_t lower[WIRE_NAME_MAX]; /* in lower case */
    uint8_t begins[32];           /* bit n: a label, other than the root's, begins at octet n */
    size_t size;
} wire_name;

/* Set a name from its wire form, which must take up all octets. Returns 0 or an enum wire_error. */
int wire_name_set(wire_name *name, const uint8_t *wire, size_t size);

/*
 * Set the name of the PTR record of an address of 4 or 16 octets, with upper-case nibbles (RFC 1035, section
 * 3.5; RFC 3596, section 2.5). Returns 0 or an enum wire_error.
 */
int wire_name_set_reverse(wire_name *name, const uint8_t *address, size_t size);

#endif
