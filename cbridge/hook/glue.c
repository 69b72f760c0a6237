/* See glue.h. */
#define _GNU_SOURCE /* dladdr */
#include "glue.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "upward.h"

/* ---- Errors and threads ---- */

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

static int fail(int code, const char *text)
{
    pyd2_glue_set_error(text, strlen(text));
    return code;
}

static const char *last_error(void)
{
    return error_text;
}

static int allowed(void)
{
    if (!__atomic_load_n(&in_service, __ATOMIC_SEQ_CST)) {
        fail(PYD2_HOOK_E_THREAD, "the server has ended");
        return 0;
    }
    if (!pthread_equal(server_thread, pthread_self())) {
        fail(PYD2_HOOK_E_THREAD, "pyd2's functions may be called in the server's thread only");
        return 0;
    }
    return 1;
}

/* What every function of the table begins with. Whatever it is called with, no Python runs where it must not. */
#define IN_SERVER_THREAD() \
    do { \
        if (!allowed()) \
            return PYD2_HOOK_E_THREAD; \
    } while (0)

#define NOT_NULL(pointer) \
    do { \
        if ((pointer) == NULL) \
            return fail(PYD2_HOOK_E_INVALID, #pointer " is a null pointer"); \
    } while (0)

#define TEXT(text) \
    do { \
        if ((text).data == NULL && (text).length != 0) \
            return fail(PYD2_HOOK_E_INVALID, #text " has a length but no data"); \
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

static void *address_in(const void *variable)
{
    void *address;
    memcpy(&address, variable, sizeof address);
    return address;
}

#define ADDRESS(function) address_in(&(function))
#define AS_FUNCTION(variable, address) memcpy(&(variable), &(address), sizeof(variable))

/* ---- The library ---- */

static int register_callout(pyd2_hook_library *library, pyd2_hook_text hook,
                            pyd2_hook_callout_function *function, void *user)
{
    IN_SERVER_THREAD();
    TEXT(hook);
    NOT_NULL(function);
    return pyd2_py_register_callout(NUMBER(library), hook.data, hook.length, ADDRESS(function), user);
}

static int register_command(pyd2_hook_library *library, pyd2_hook_text command,
                            pyd2_hook_callout_function *function, void *user)
{
    IN_SERVER_THREAD();
    TEXT(command);
    NOT_NULL(function);
    return pyd2_py_register_command(NUMBER(library), command.data, command.length, ADDRESS(function), user);
}

static int parameters(pyd2_hook_library *library, pyd2_hook_json **parameters)
{
    IN_SERVER_THREAD();
    NOT_NULL(parameters);
    HAND_OUT(pyd2_py_parameters(NUMBER(library), &number), pyd2_hook_json, parameters);
}

static int library_name(pyd2_hook_library *library, pyd2_hook_text *name)
{
    IN_SERVER_THREAD();
    NOT_NULL(name);
    return pyd2_py_library_name(NUMBER(library), name);
}

static int library_index(pyd2_hook_library *library, uint32_t *index)
{
    IN_SERVER_THREAD();
    NOT_NULL(index);
    return pyd2_py_library_index(NUMBER(library), index);
}

static int write_log(pyd2_hook_library *library, int severity, pyd2_hook_text text)
{
    IN_SERVER_THREAD();
    TEXT(text);
    return pyd2_py_log(NUMBER(library), severity, text.data, text.length);
}

/* ---- JSON ---- */

#define JSON_FUNCTION(name, type) \
    static int name(pyd2_hook_json *json, pyd2_hook_text pointer, type *out) \
    { \
        IN_SERVER_THREAD(); \
        TEXT(pointer); \
        NOT_NULL(out); \
        return pyd2_py_##name(NUMBER(json), pointer.data, pointer.length, out); \
    }

JSON_FUNCTION(json_type, int)
JSON_FUNCTION(json_text, pyd2_hook_text)
JSON_FUNCTION(json_integer, int64_t)
JSON_FUNCTION(json_real, double)
JSON_FUNCTION(json_boolean, int)
JSON_FUNCTION(json_count, size_t)
JSON_FUNCTION(json_print, pyd2_hook_text)

static int json_name(pyd2_hook_json *json, pyd2_hook_text pointer, size_t index, pyd2_hook_text *name)
{
    IN_SERVER_THREAD();
    TEXT(pointer);
    NOT_NULL(name);
    return pyd2_py_json_name(NUMBER(json), pointer.data, pointer.length, index, name);
}

static int json_quote(pyd2_hook_text text, pyd2_hook_text *quoted)
{
    IN_SERVER_THREAD();
    TEXT(text);
    NOT_NULL(quoted);
    return pyd2_py_json_quote(text.data, text.length, quoted);
}

/* ---- A callout ---- */

static int hook_name(pyd2_hook_callout *callout, pyd2_hook_text *name)
{
    IN_SERVER_THREAD();
    NOT_NULL(name);
    return pyd2_py_hook_name(NUMBER(callout), name);
}

/* The callouts that are running, the innermost first. */
struct frame {
    struct frame *outer;
    uintptr_t callout;
    const pyd2_glue_server *server;
    pyd2_glue_outcome outcome;
};

static struct frame *running;

static struct frame *frame_of(pyd2_hook_callout *callout)
{
    struct frame *frame = running;
    while (frame != NULL && frame->callout != NUMBER(callout))
        frame = frame->outer;
    if (frame == NULL)
        fail(PYD2_HOOK_E_HANDLE, "there is no such callout: it has ended, or it never was one");
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

static int get_status(pyd2_hook_callout *callout, int *status)
{
    struct frame *frame;
    IN_SERVER_THREAD();
    NOT_NULL(status);
    frame = frame_of(callout);
    if (frame == NULL)
        return PYD2_HOOK_E_HANDLE;
    *status = frame->outcome.status;
    return PYD2_HOOK_OK;
}

static int set_status(pyd2_hook_callout *callout, int status)
{
    struct frame *frame;
    IN_SERVER_THREAD();
    frame = frame_of(callout);
    if (frame == NULL)
        return PYD2_HOOK_E_HANDLE;
    if (status < PYD2_HOOK_CONTINUE || status > PYD2_HOOK_PARK)
        return fail(PYD2_HOOK_E_INVALID, "that is no status");
    frame->outcome.status = status;
    return PYD2_HOOK_OK;
}

static int argument_text(pyd2_hook_callout *callout, pyd2_hook_text name, pyd2_hook_text *text)
{
    IN_SERVER_THREAD();
    TEXT(name);
    NOT_NULL(text);
    return pyd2_py_argument_text(NUMBER(callout), name.data, name.length, text);
}

static int argument_json(pyd2_hook_callout *callout, pyd2_hook_text name, pyd2_hook_json **json)
{
    IN_SERVER_THREAD();
    TEXT(name);
    NOT_NULL(json);
    HAND_OUT(pyd2_py_argument_json(NUMBER(callout), name.data, name.length, &number), pyd2_hook_json, json);
}

#define SET_ARGUMENT_FUNCTION(kind) \
    static int set_argument_##kind(pyd2_hook_callout *callout, pyd2_hook_text name, pyd2_hook_text kind) \
    { \
        IN_SERVER_THREAD(); \
        TEXT(name); \
        TEXT(kind); \
        return pyd2_py_set_argument_##kind(NUMBER(callout), name.data, name.length, kind.data, kind.length); \
    }

SET_ARGUMENT_FUNCTION(json)
SET_ARGUMENT_FUNCTION(text)

static int current_server(pyd2_hook_callout *callout, pyd2_hook_server **server)
{
    struct frame *frame;
    IN_SERVER_THREAD();
    NOT_NULL(server);
    frame = frame_of(callout);
    if (frame == NULL)
        return PYD2_HOOK_E_HANDLE;
    if (frame->server == NULL)
        return fail(PYD2_HOOK_E_NOT_FOUND, "this hook point has no current_server");
    *server = (pyd2_hook_server *)(frame->callout + 1);
    return PYD2_HOOK_OK;
}

/* Keys of libraries whose handles are valid, each in the place that its number gives it, 0 where there is none. */
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
    /* It may have been set and given up in one callout: then the server has to hear of it while it is valid. */
    for (frame = running; frame != NULL; frame = frame->outer)
        if (frame->outcome.key_set && frame->outcome.key == key) {
            frame->outcome.key_set = 0;
            pyd2_py_set_tsig_key(frame->callout, key);
        }
}

static int tsig_key(pyd2_hook_callout *callout, pyd2_hook_key **key)
{
    struct frame *frame;
    IN_SERVER_THREAD();
    NOT_NULL(key);
    frame = frame_of(callout);
    if (frame == NULL)
        return PYD2_HOOK_E_HANDLE;
    if (frame->outcome.key_set) {
        *key = (pyd2_hook_key *)frame->outcome.key;
        return PYD2_HOOK_OK;
    }
    HAND_OUT(pyd2_py_tsig_key(NUMBER(callout), &number), pyd2_hook_key, key);
}

static int set_tsig_key(pyd2_hook_callout *callout, pyd2_hook_key *key)
{
    struct frame *frame;
    int code;
    IN_SERVER_THREAD();
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

static int set_context(pyd2_hook_callout *callout, pyd2_hook_text name, void *value,
                       pyd2_hook_destroy_function *destroy)
{
    IN_SERVER_THREAD();
    TEXT(name);
    return pyd2_py_set_context(NUMBER(callout), name.data, name.length, value, ADDRESS(destroy));
}

static int get_context(pyd2_hook_callout *callout, pyd2_hook_text name, void **value)
{
    IN_SERVER_THREAD();
    TEXT(name);
    NOT_NULL(value);
    return pyd2_py_context(NUMBER(callout), name.data, name.length, value);
}

static int delete_context(pyd2_hook_callout *callout, pyd2_hook_text name)
{
    IN_SERVER_THREAD();
    TEXT(name);
    return pyd2_py_delete_context(NUMBER(callout), name.data, name.length);
}

/* ---- DNS servers ---- */

static const pyd2_glue_server *server_of(pyd2_hook_server *server)
{
    struct frame *frame = running;
    while (frame != NULL && (frame->server == NULL || frame->callout + 1 != NUMBER(server)))
        frame = frame->outer;
    if (frame == NULL) {
        fail(PYD2_HOOK_E_HANDLE, "there is no such server: its callout has ended, or it never was one");
        return NULL;
    }
    return frame->server;
}

#define SERVER_FUNCTION(member, type) \
    static int server_##member(pyd2_hook_server *server, type *out) \
    { \
        const pyd2_glue_server *told; \
        IN_SERVER_THREAD(); \
        NOT_NULL(out); \
        told = server_of(server); \
        if (told == NULL) \
            return PYD2_HOOK_E_HANDLE; \
        *out = told->member; \
        return PYD2_HOOK_OK; \
    }

SERVER_FUNCTION(address, pyd2_hook_text)
SERVER_FUNCTION(port, uint16_t)
SERVER_FUNCTION(key_name, pyd2_hook_text)

/* ---- Keys ---- */

static int key_new(pyd2_hook_library *library, pyd2_hook_text name, pyd2_hook_text algorithm,
                   pyd2_hook_text secret, uint32_t digest_bits, pyd2_hook_key **key)
{
    IN_SERVER_THREAD();
    TEXT(name);
    TEXT(algorithm);
    TEXT(secret);
    NOT_NULL(key);
    HAND_OUT(pyd2_py_key_new(NUMBER(library), name.data, name.length, algorithm.data, algorithm.length,
                             secret.data, secret.length, digest_bits, &number),
             pyd2_hook_key, key);
}

static int signer_new(pyd2_hook_library *library, pyd2_hook_text name, pyd2_hook_text algorithm,
                      const pyd2_hook_signer *signer, void *user, pyd2_hook_key **key)
{
    IN_SERVER_THREAD();
    TEXT(name);
    TEXT(algorithm);
    NOT_NULL(signer);
    NOT_NULL(key);
    if (signer->size != sizeof *signer)
        return fail(PYD2_HOOK_E_INVALID, "signer->size is not sizeof(pyd2_hook_signer)");
    NOT_NULL(signer->sign);
    NOT_NULL(signer->verify);
    HAND_OUT(pyd2_py_signer_new(NUMBER(library), name.data, name.length, algorithm.data, algorithm.length,
                                signer, user, &number),
             pyd2_hook_key, key);
}

static int key_name(pyd2_hook_key *key, pyd2_hook_text *name)
{
    IN_SERVER_THREAD();
    NOT_NULL(name);
    return pyd2_py_key_name(NUMBER(key), name);
}

static int key_algorithm(pyd2_hook_key *key, pyd2_hook_text *algorithm)
{
    IN_SERVER_THREAD();
    NOT_NULL(algorithm);
    return pyd2_py_key_algorithm(NUMBER(key), algorithm);
}

static int key_release(pyd2_hook_library *library, pyd2_hook_key *key)
{
    IN_SERVER_THREAD();
    return pyd2_py_key_release(NUMBER(library), NUMBER(key));
}

/* ---- Timers ---- */

static int timer_start(pyd2_hook_library *library, uint32_t delay, uint32_t period,
                       pyd2_hook_timer_function *function, void *user, pyd2_hook_timer **timer)
{
    IN_SERVER_THREAD();
    pyd2_hook_timer *unwanted;
    NOT_NULL(function);
    if (timer == NULL)
        timer = &unwanted;
    HAND_OUT(pyd2_py_timer_start(NUMBER(library), delay, period, ADDRESS(function), user, &number),
             pyd2_hook_timer, timer);
}

static int timer_cancel(pyd2_hook_library *library, pyd2_hook_timer *timer)
{
    IN_SERVER_THREAD();
    return pyd2_py_timer_cancel(NUMBER(library), NUMBER(timer));
}

static const pyd2_hook_api table = {
    .version = PYD2_HOOK_VERSION,
    .size = sizeof(pyd2_hook_api),
    .last_error = last_error,
    .register_callout = register_callout,
    .register_command = register_command,
    .parameters = parameters,
    .library_name = library_name,
    .library_index = library_index,
    .log = write_log,
    .json_type = json_type,
    .json_text = json_text,
    .json_integer = json_integer,
    .json_real = json_real,
    .json_boolean = json_boolean,
    .json_count = json_count,
    .json_name = json_name,
    .json_print = json_print,
    .json_quote = json_quote,
    .hook_name = hook_name,
    .status = get_status,
    .set_status = set_status,
    .argument_json = argument_json,
    .argument_text = argument_text,
    .set_argument_json = set_argument_json,
    .set_argument_text = set_argument_text,
    .current_server = current_server,
    .tsig_key = tsig_key,
    .set_tsig_key = set_tsig_key,
    .set_context = set_context,
    .context = get_context,
    .delete_context = delete_context,
    .server_address = server_address,
    .server_port = server_port,
    .server_key_name = server_key_name,
    .key_new = key_new,
    .signer_new = signer_new,
    .key_name = key_name,
    .key_algorithm = key_algorithm,
    .key_release = key_release,
    .timer_start = timer_start,
    .timer_cancel = timer_cancel,
};

/* ---- Shared objects ---- */

void *pyd2_glue_open(const char *path, const char **reason)
{
    /* Now: a missing symbol is a fault of loading. Local: libraries do not see each other's symbols. */
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    *reason = object == NULL ? dlerror() : NULL;
    return object;
}

void pyd2_glue_close(void *object)
{
    dlclose(object);
}

void *pyd2_glue_symbol(void *object, const char *name)
{
    return dlsym(object, name);
}

const char *pyd2_glue_name_of(void *function)
{
    Dl_info info;
    return dladdr(function, &info) != 0 && info.dli_saddr == function ? info.dli_sname : "";
}

/* ---- Calls into a library ---- */

pyd2_hook_requirement pyd2_glue_version(void *function)
{
    pyd2_hook_requirement (*version)(void);
    AS_FUNCTION(version, function);
    return version();
}

int pyd2_glue_load(void *function, uintptr_t library, void **state)
{
    int (*load)(const pyd2_hook_api *, pyd2_hook_library *, void **);
    AS_FUNCTION(load, function);
    return load(&table, (pyd2_hook_library *)library, state);
}

int pyd2_glue_unload(void *function, void *state)
{
    int (*unload)(void *);
    AS_FUNCTION(unload, function);
    return unload(state);
}

void pyd2_glue_timer(void *function, uintptr_t timer, void *user)
{
    pyd2_hook_timer_function *run;
    AS_FUNCTION(run, function);
    run((pyd2_hook_timer *)timer, user);
}

void pyd2_glue_destroy(void *function, void *value)
{
    pyd2_hook_destroy_function *destroy;
    AS_FUNCTION(destroy, function);
    destroy(value);
}

int pyd2_glue_begin(const pyd2_hook_signer *signer, void *user, void **context)
{
    return signer->begin == NULL ? 0 : signer->begin(user, context);
}

int pyd2_glue_sign(const pyd2_hook_signer *signer, void *user, void *context, const char *data, size_t length,
                   char *mac, size_t *mac_length)
{
    return signer->sign(user, context, (const uint8_t *)data, length, (uint8_t *)mac, mac_length);
}

int pyd2_glue_verify(const pyd2_hook_signer *signer, void *user, void *context, const char *data,
                     size_t length, const char *mac, size_t mac_length)
{
    return signer->verify(user, context, (const uint8_t *)data, length, (const uint8_t *)mac, mac_length);
}

void pyd2_glue_end(const pyd2_hook_signer *signer, void *user, void *context)
{
    if (signer->end != NULL)
        signer->end(user, context);
}

void pyd2_glue_release(const pyd2_hook_signer *signer, void *user)
{
    if (signer->release != NULL)
        signer->release(user);
}
