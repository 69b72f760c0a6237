/* Implements callouts.h, and of glue.h the run of a callout and the known keys. */
#include "callouts.h"

#include "glue.h"
#include "guard.h"
#include "upward.h"

/* The callouts that are running, the innermost first. */
struct frame {
    struct frame *outer;
    uintptr_t callout;
    const pyd2_glue_server *server;
    pyd2_glue_outcome outcome;
};

static struct frame *running;

static struct frame *frame_of(const pyd2_hook_callout *callout)
{
    struct frame *frame = running;
    while (frame != NULL && frame->callout != NUMBER(callout))
        frame = frame->outer;
    if (frame == NULL)
        pyd2_guard_fail(PYD2_HOOK_E_HANDLE, "there is no such callout: it has ended, or it never was one");
    return frame;
}

int pyd2_glue_callout(void *function, void *user, uintptr_t callout, const pyd2_glue_server *server,
                      int status, pyd2_glue_outcome *outcome)
{
    pyd2_hook_callout_function *run;
    struct frame frame;

    AS_FUNCTION(run, function);
    frame.outer = running;
    frame.callout = callout;
    frame.server = server;
    frame.outcome.status = status;
    frame.outcome.key_set = 0;
    frame.outcome.key = 0;
    running = &frame;
    frame.outcome.code = run((pyd2_hook_callout *)callout, user);
    running = frame.outer;
    *outcome = frame.outcome;
    return outcome->code != 0 || outcome->status != status || outcome->key_set;
}

/* ---- The status ---- */

int pyd2_callout_status(const pyd2_hook_callout *callout, int *status)
{
    struct frame *frame;
    ON_HOOK_THREAD();
    NOT_NULL(status);
    frame = frame_of(callout);
    if (frame == NULL)
        return PYD2_HOOK_E_HANDLE;
    *status = frame->outcome.status;
    return PYD2_HOOK_OK;
}

int pyd2_callout_set_status(pyd2_hook_callout *callout, int status)
{
    struct frame *frame;
    ON_HOOK_THREAD();
    frame = frame_of(callout);
    if (frame == NULL)
        return PYD2_HOOK_E_HANDLE;
    if (status < PYD2_HOOK_CONTINUE || status > PYD2_HOOK_PARK)
        return pyd2_guard_fail(PYD2_HOOK_E_INVALID, "that is no status");
    frame->outcome.status = status;
    return PYD2_HOOK_OK;
}

/* ---- The key ---- */

/* A hash table of valid handles of keys that libraries made; 0: empty. A later key replaces one in its place. */
static uintptr_t known_keys[256];

#define PLACE(key) known_keys[(key) % (sizeof known_keys / sizeof known_keys[0])]

void pyd2_glue_key_begins(uintptr_t key)
{
    PLACE(key) = key;
}

void pyd2_glue_key_ends(uintptr_t key)
{
    struct frame *frame;
    if (PLACE(key) == key)
        PLACE(key) = 0;
    /* If a callout has set and released it, the server gets it now, while it is valid. */
    for (frame = running; frame != NULL; frame = frame->outer)
        if (frame->outcome.key_set && frame->outcome.key == key) {
            frame->outcome.key_set = 0;
            pyd2_py_set_tsig_key(frame->callout, key);
        }
}

int pyd2_callout_tsig_key(const pyd2_hook_callout *callout, const pyd2_hook_key **key)
{
    struct frame *frame;
    ON_HOOK_THREAD();
    NOT_NULL(key);
    frame = frame_of(callout);
    if (frame == NULL)
        return PYD2_HOOK_E_HANDLE;
    if (frame->outcome.key_set) {
        *key = (const pyd2_hook_key *)frame->outcome.key;
        return PYD2_HOOK_OK;
    }
    HAND_OUT(pyd2_py_tsig_key(NUMBER(callout), &number), const pyd2_hook_key, key);
}

int pyd2_callout_set_tsig_key(pyd2_hook_callout *callout, const pyd2_hook_key *key)
{
    struct frame *frame;
    int code;
    ON_HOOK_THREAD();
    frame = frame_of(callout);
    if (frame == NULL)
        return PYD2_HOOK_E_HANDLE;
    if (frame->server != NULL && (key == NULL || PLACE(NUMBER(key)) == NUMBER(key))) {
        frame->outcome.key_set = 1;
        frame->outcome.key = NUMBER(key);
        return PYD2_HOOK_OK;
    }
    code = pyd2_py_set_tsig_key(NUMBER(callout), NUMBER(key));
    if (code == PYD2_HOOK_OK)
        frame->outcome.key_set = 0;
    return code;
}

/* ---- The DNS server ---- */

int pyd2_callout_current_server(const pyd2_hook_callout *callout, const pyd2_hook_server **server)
{
    struct frame *frame;
    ON_HOOK_THREAD();
    NOT_NULL(server);
    frame = frame_of(callout);
    if (frame == NULL)
        return PYD2_HOOK_E_HANDLE;
    if (frame->server == NULL)
        return pyd2_guard_fail(PYD2_HOOK_E_NOT_FOUND, "this hook point has no current_server");
    *server = (const pyd2_hook_server *)(frame->callout + 1);
    return PYD2_HOOK_OK;
}

static const pyd2_glue_server *server_of(const pyd2_hook_server *server)
{
    struct frame *frame = running;
    while (frame != NULL && (frame->server == NULL || frame->callout + 1 != NUMBER(server)))
        frame = frame->outer;
    if (frame == NULL) {
        pyd2_guard_fail(PYD2_HOOK_E_HANDLE, "there is no such server: its callout has ended, or it never was one");
        return NULL;
    }
    return frame->server;
}

#define SERVER_FUNCTION(member, type) \
    int pyd2_callout_server_##member(const pyd2_hook_server *server, type *out) \
    { \
        const pyd2_glue_server *known; \
        ON_HOOK_THREAD(); \
        NOT_NULL(out); \
        known = server_of(server); \
        if (known == NULL) \
            return PYD2_HOOK_E_HANDLE; \
        *out = known->member; \
        return PYD2_HOOK_OK; \
    }

SERVER_FUNCTION(address, pyd2_hook_text)
SERVER_FUNCTION(port, uint16_t)
SERVER_FUNCTION(key_name, pyd2_hook_text)
