/* See guard.h and glue.h. */
#include "guard.h"

#include <pthread.h>
#include <stdio.h>

#include "glue.h"

static _Thread_local char error_text[1024];

static pthread_t hook_thread;
static int in_service; /* set before the first library is loaded, cleared when the process ends */

void pyd2_glue_claim_thread(void)
{
    hook_thread = pthread_self();
    __atomic_store_n(&in_service, 1, __ATOMIC_SEQ_CST);
}

void pyd2_glue_retire(void)
{
    __atomic_store_n(&in_service, 0, __ATOMIC_SEQ_CST);
}

void pyd2_glue_set_error(const char *text, size_t length)
{
    if (length >= sizeof error_text)
        length = sizeof error_text - 1;
    memcpy(error_text, text, length);
    error_text[length] = '\0';
}

int pyd2_guard_fail(int code, const char *text)
{
    pyd2_glue_set_error(text, strlen(text));
    return code;
}

const char *pyd2_guard_last_error(void)
{
    return error_text;
}

int pyd2_guard_allowed(void)
{
    if (!__atomic_load_n(&in_service, __ATOMIC_SEQ_CST)) {
        pyd2_guard_fail(PYD2_HOOK_E_THREAD, "the server has ended");
        return 0;
    }
    if (!pthread_equal(hook_thread, pthread_self())) {
        pyd2_guard_fail(PYD2_HOOK_E_THREAD, "pyd2's functions may be called on the hook thread only");
        return 0;
    }
    return 1;
}

/* Far more than any structure will have. A larger size is a mistake: the memory may not be readable. */
enum { LARGEST = 4096 };

int pyd2_guard_copy_grown(void *known, size_t known_size, const void *given, size_t oldest, const char *name)
{
    const unsigned char *octets = given;
    char text[128];
    size_t size;
    size_t i;

    memcpy(&size, given, sizeof size);
    if (size < oldest || size > LARGEST) {
        snprintf(text, sizeof text, "%s->size is %zu, which no version of this structure has", name, size);
        return pyd2_guard_fail(PYD2_HOOK_E_INVALID, text);
    }
    for (i = known_size; i < size; i++)
        if (octets[i] != 0) {
            snprintf(text, sizeof text, "%s uses a member that needs a newer pyd2: octet %zu of %zu is not 0",
                     name, i, size);
            return pyd2_guard_fail(PYD2_HOOK_E_INVALID, text);
        }
    memset(known, 0, known_size);
    memcpy(known, given, size < known_size ? size : known_size);
    memcpy(known, &known_size, sizeof known_size);
    return PYD2_HOOK_OK;
}
