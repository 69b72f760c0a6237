/*
 * What every function of the table begins with: it checks the thread and what it was given, before any Python
 * runs. And what it ends with: handles out of numbers, and the text of an error.
 */
#ifndef PYD2_GUARD_H
#define PYD2_GUARD_H

#include <stdint.h>
#include <string.h>

#include "pyd2_hook.h"

/* Set the text of the thread's last error and return the code. */
int pyd2_guard_fail(int code, const char *text);

const char *pyd2_guard_last_error(void);

/* Tell whether this is the libraries' thread, and the server has not ended. */
int pyd2_guard_allowed(void);

/*
 * Copy a structure of a library's, which begins with its size, into *known. The library may know an older form of it:
 * what that lacks becomes zero; `oldest` is the size of the first one. It may know a newer one: what is unknown here
 * must be zero. Returns PYD2_HOOK_OK or E_INVALID, with `name` in the error's text.
 */
int pyd2_guard_copy_grown(void *known, size_t known_size, const void *given, size_t oldest, const char *name);

#define IN_LIBRARIES_THREAD() \
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

/* Copy a structure that carries its size to `known`; see pyd2_guard_copy_grown(). */
#define GROWN(known, given, oldest) \
    do { \
        int code = pyd2_guard_copy_grown(&(known), sizeof(known), given, oldest, #given); \
        if (code != PYD2_HOOK_OK) \
            return code; \
    } while (0)

#define NUMBER(handle) ((uintptr_t)(handle))

/* Do a call that gives a number to `number`, and hand it out as a handle if it succeeds. */
#define HAND_OUT(call, type, out) \
    do { \
        uintptr_t number = 0; \
        int code = (call); \
        if (code == PYD2_HOOK_OK) \
            *(out) = (type *)number; \
        return code; \
    } while (0)

/* ISO C converts no function pointer to void * or back; POSIX promises that its memory will do. */
_Static_assert(sizeof(void *) == sizeof(void (*)(void)), "dlsym() is of no use here");

static inline void *address_in(const void *variable)
{
    void *address;
    memcpy(&address, variable, sizeof address);
    return address;
}

#define ADDRESS(function) address_in(&(function))
#define AS_FUNCTION(variable, address) memcpy(&(variable), &(address), sizeof(variable))

#endif
