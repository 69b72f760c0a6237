/* Names within messages: looked for, and read. Not for Python. */
#ifndef PYD2_WIRE_NAME_FIND_H
#define PYD2_WIRE_NAME_FIND_H

#include "name.h"
#include "octets.h"

/* ASCII only, whatever the locale. A length is at most 63, which is below 'A': it never changes. */
static inline uint8_t wire_to_lower(uint8_t octet) {
    return octet >= 'A' && octet <= 'Z' ? octet | 0x20 : octet;
}

/* Return where in a name the suffix of another name that begins at an octet stands; -1 if it does not. */
int wire_find_suffix(const wire_name *name, const wire_name *other, size_t begin);

/*
 * Read the name at an offset of a message, follow its pointers, and leave its lower-case form in `lower`.
 * Returns the offset behind the name in the message, or an enum wire_error.
 */
int wire_read_name(const uint8_t *message, size_t size, size_t at, uint8_t lower[WIRE_NAME_MAX],
                   size_t *lower_size);

#endif
