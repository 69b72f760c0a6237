/* See guard.h and glue.h. */
#include "guard.h"

#include <pthread.h>

#include "glue.h"

static _Thread_local char error_text[1024];

static pthread_t server_thread;
static int in_service; /* written before the first library is loaded, and at the end of the process */

void pyd2_glue_claim_thread(void)
{
    server_thread = pthread_self();
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
    if (!pthread_equal(server_thread, pthread_self())) {
        pyd2_guard_fail(PYD2_HOOK_E_THREAD, "pyd2's functions may be called in the server's thread only");
        return 0;
    }
    return 1;
}
