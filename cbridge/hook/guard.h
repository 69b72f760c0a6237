/*
 * Used by every function of the table: checks of the thread and of the arguments, which come before any Python runs;
 * handles made of numbers; and the text of an error.
 */
#ifndef PYD2_GUARD_H
#define PYD2_GUARD_H

#include <stdint.h>
#include <string.h>

#include "pyd2_hook.h"

/* Set the text of the thread's last error and return the code. */
int pyd2_guard_fail(int code, const char *text);

const char *pyd2_guard_last_error(void);

/* Return 1 on the hook thread while the server runs; else 0, and the reason is the last error. */
int pyd2_guard_allowed(void);

/*
 * Copy a structure of a library, which begins with its size, into *known. In an older form of it, members that it
 * lacks become zero; `oldest` is the size of the first form. In a newer one, members that pyd2 does not know must be
 * zero. Returns PYD2_HOOK_OK or E_INVALID, with `name` in the error text.
 */
int pyd2_guard_copy_grown(void *known, size_t known_size, const void *given, size_t oldest, const char *name);

#define ON_HOOK_THREAD() \
    do { \
        if (!pyd2_guard_allowed()) \
            return PYD2_HOOK_E_THREAD; \
    } while (0)

#define NOT_NULL(pointer) \
    do { \
        if ((pointer) == NULL) \
            return pyd2_guard_fail(PYD2_HOOK_E_INVALID, #pointer " is a null pointer"); \
    } while (0)

#define TEXT(text) \
    do { \
        if ((text).data == NULL && (text).length != 0) \
            return pyd2_guard_fail(PYD2_HOOK_E_INVALID, #text " has a length but no data"); \
    } while (0)

/* Copy a structure that carries its size to `known` by pyd2_guard_copy_grown(), or return its error. */
#define GROWN(known, given, oldest) \
    do { \
        int code = pyd2_guard_copy_grown(&(known), sizeof(known), given, oldest, #given); \
        if (code != PYD2_HOOK_OK) \
            return code; \
    } while (0)

#define NUMBER(handle) ((uintptr_t)(handle))

/* Make a call that sets `number`; if it succeeds, set *out to the number as a handle. Return its code. */
#define HAND_OUT(call, type, out) \
    do { \
        uintptr_t number = 0; \
        int code = (call); \
        if (code == PYD2_HOOK_OK) \
            *(out) = (type *)number; \
        return code; \
    } while (0)

/* ISO C does not convert between function pointers and void *; on POSIX they have the same representation. */
_Static_assert(sizeof(void *) == sizeof(void (*)(void)), "dlsym() does not work here");

static inline void *address_in(const void *variable)
{
    void *address;
    memcpy(&address, variable, sizeof address);
    return address;
}

#define ADDRESS(function) address_in(&(function))
#define AS_FUNCTION(variable, address) memcpy(&(variable), &(address), sizeof(variable))

#endif
