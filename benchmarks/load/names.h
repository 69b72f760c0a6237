/* Domain names on the wire (RFC 1035, sections 3.1 and 4.1.4). */
#ifndef LOAD_NAMES_H
#define LOAD_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NAME_MAX_SIZE = 255 };

/* A name, uncompressed and in lower case. */
typedef struct {
    uint8_t wire[NAME_MAX_SIZE];
    size_t size;
} wire_name;

/* Return the name that a text means; ends the program when it is none. Escapes are not known. */
wire_name name_from_text(const char *text);

/* Read the name at an offset of a message. Returns the offset behind it; 0 when it is none. */
size_t name_read(const uint8_t *message, size_t size, size_t at, wire_name *name);

bool name_equals(const wire_name *name, const wire_name *other);

/* Whether a name is another, or ends in it. */
bool name_is_below(const wire_name *name, const wire_name *top);

#endif
