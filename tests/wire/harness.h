/* What the fuzz harnesses share. Each octet string is a block of its own, so that AddressSanitizer sees its end. */
#ifndef PYD2_WIRE_HARNESS_H
#define PYD2_WIRE_HARNESS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                \
    do {                                                                                                \
        if (!(condition)) {                                                                             \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);               \
            abort();                                                                                    \
        }                                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is left of an input. */
typedef struct {
    const uint8_t *at;
    size_t left;
} input;

/* Return the next octet, 0 at the end. */
static inline uint8_t next_octet(input *from) {
    if (from->left == 0) {
        return 0;
    }
    from->left--;
    return *from->at++;
}

/* Return a copy of the next octets, or of what is left of them; *size tells how many. To be freed. */
static inline uint8_t *next_octets(input *from, size_t *size) {
    *size = *size < from->left ? *size : from->left;
    uint8_t *copy = malloc(*size > 0 ? *size : 1);
    CHECK(copy != NULL);
    if (*size > 0) {
        memcpy(copy, from->at, *size);
    }
    from->at += *size;
    from->left -= *size;
    return copy;
}

#endif
