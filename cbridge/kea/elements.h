/*
 * JSON values: Kea's Elements to and from a block of bytes, positions included, in one call each way.
 *
 * The block: the number of file names (u32) and the names (each u32 length, bytes); then one value. A value:
 * its kind (one byte), the number of its file name (u32), line (u32), column (u32), and by kind
 *   n t f   nothing: null, true, false
 *   i d     8 bytes: a signed integer, an IEEE double
 *   s g     u32 length, bytes: a string, the decimal digits of an integer of more than 64 bits
 *   l       u32 count, the items
 *   m       u32 count, for each member its name (u32 length, bytes) and its value
 * Numbers are little-endian.
 */
#ifndef PYD2_KEA_ELEMENTS_H
#define PYD2_KEA_ELEMENTS_H

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C interface */

/* A handle on a JSON value, never on a null pointer. Its holder owns it: kb_element_free(). */
typedef struct kb_element kb_element;

/* Make a value from a block; NULL when the block is malformed. */
kb_element* kb_element_read(const uint8_t* block, size_t size);

/* Return a value as a block of *size bytes, which kb_free() frees; NULL on failure. */
uint8_t* kb_element_write(const kb_element* element, size_t* size);

/* Free a handle; other holders keep the value. NULL is allowed. */
void kb_element_free(kb_element* element);

/* end of the C interface */
#ifdef __cplusplus
}

#include <cc/data.h>

struct kb_element {
    isc::data::ElementPtr value;
};

namespace pyd2 {

/* Return a new kb_element, NULL for a null pointer. */
kb_element* wrap(const isc::data::ConstElementPtr& value);

/* Return the value of a handle, a null pointer for NULL. */
isc::data::ConstElementPtr unwrap(const kb_element* element);

}  // namespace pyd2
#endif
#endif
