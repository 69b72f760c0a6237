/* The one way out when something cannot be done. */
#ifndef LOAD_FAIL_H
#define LOAD_FAIL_H

#include <stdio.h>
#include <stdlib.h>

/* Say what cannot be done, as printf does, and end with status 2. */
#define FAIL(...) (fprintf(stderr, "load: " __VA_ARGS__), fputc('\n', stderr), exit(2))

/* Return memory, all zero. */
static inline void *get_memory(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL) {
        FAIL("no memory");
    }
    return memory;
}

#endif
