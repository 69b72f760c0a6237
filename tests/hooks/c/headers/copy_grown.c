/* Structures of every size that a library may pass, each in memory of exactly that size, for AddressSanitizer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

enum { KNOWN = 64, OLDEST = 56 };

/* Return what a library passes: its size, then 1 in each octet before `set`, then 0. To be freed. */
static unsigned char *given_of(size_t size, size_t claimed, size_t set)
{
    unsigned char *given = malloc(size);
    CHECK(given != NULL);
    memset(given, 0, size);
    memset(given, 1, set < size ? set : size);
    memcpy(given, &claimed, sizeof claimed);
    return given;
}

static int copy(unsigned char *known, size_t size, size_t claimed, size_t set)
{
    unsigned char *given = given_of(size, claimed, set);
    int code;
    memset(known, 9, KNOWN);
    code = pyd2_guard_copy_grown(known, KNOWN, given, OLDEST, "signer");
    free(given);
    return code;
}

int main(void)
{
    unsigned char known[KNOWN];
    size_t size;

    for (size = sizeof size; size < OLDEST; size++)
        CHECK(copy(known, size, size, size) == PYD2_HOOK_E_INVALID && known[0] == 9);
    for (size = OLDEST; size <= KNOWN; size++) {
        size_t told, at;
        CHECK(copy(known, size, size, size) == PYD2_HOOK_OK);
        memcpy(&told, known, sizeof told);
        CHECK(told == KNOWN);
        for (at = sizeof told; at < KNOWN; at++)
            CHECK(known[at] == (at < size ? 1 : 0));
    }
    for (size = KNOWN + 1; size <= 4096; size++) {
        CHECK(copy(known, size, size, KNOWN) == PYD2_HOOK_OK && known[KNOWN - 1] == 1);
        CHECK(copy(known, size, size, KNOWN + 1) == PYD2_HOOK_E_INVALID && known[0] == 9);
        CHECK(strstr(pyd2_guard_last_error(), "needs a newer pyd2") != NULL);
        CHECK(copy(known, size, size, size) == PYD2_HOOK_E_INVALID);
    }
    /* An impossible size is not read. */
    CHECK(copy(known, KNOWN, 4097, 0) == PYD2_HOOK_E_INVALID);
    CHECK(copy(known, KNOWN, (size_t)-1, 0) == PYD2_HOOK_E_INVALID);
    CHECK(copy(known, KNOWN, 0, 0) == PYD2_HOOK_E_INVALID);
    puts("ok");
    return 0;
}
