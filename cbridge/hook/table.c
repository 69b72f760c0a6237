/* The table of table.h, and those of its functions that call Python. */
#include "table.h"

#include "callouts.h"
#include "guard.h"
#include "upward.h"

/* ---- The library ---- */

static int register_callout(pyd2_hook_library *library, pyd2_hook_text hook,
                            pyd2_hook_callout_function *function, void *user)
{
    ON_HOOK_THREAD();
    TEXT(hook);
    NOT_NULL(function);
    return pyd2_py_register_callout(NUMBER(library), hook.data, hook.length, ADDRESS(function), user);
}

static int register_command(pyd2_hook_library *library, pyd2_hook_text command,
                            pyd2_hook_callout_function *function, void *user)
{
    ON_HOOK_THREAD();
    TEXT(command);
    NOT_NULL(function);
    return pyd2_py_register_command(NUMBER(library), command.data, command.length, ADDRESS(function), user);
}

static int parameters(const pyd2_hook_library *library, const pyd2_hook_json **parameters)
{
    ON_HOOK_THREAD();
    NOT_NULL(parameters);
    HAND_OUT(pyd2_py_parameters(NUMBER(library), &number), const pyd2_hook_json, parameters);
}

static int library_name(const pyd2_hook_library *library, pyd2_hook_text *name)
{
    ON_HOOK_THREAD();
    NOT_NULL(name);
    return pyd2_py_library_name(NUMBER(library), name);
}

static int library_index(const pyd2_hook_library *library, uint32_t *index)
{
    ON_HOOK_THREAD();
    NOT_NULL(index);
    return pyd2_py_library_index(NUMBER(library), index);
}

static int write_log(const pyd2_hook_library *library, int severity, pyd2_hook_text text)
{
    ON_HOOK_THREAD();
    TEXT(text);
    return pyd2_py_log(NUMBER(library), severity, text.data, text.length);
}

/* ---- JSON ---- */

#define JSON_FUNCTION(name, type) \
    static int name(const pyd2_hook_json *json, pyd2_hook_text pointer, type *out) \
    { \
        ON_HOOK_THREAD(); \
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

static int json_name(const pyd2_hook_json *json, pyd2_hook_text pointer, size_t index, pyd2_hook_text *name)
{
    ON_HOOK_THREAD();
    TEXT(pointer);
    NOT_NULL(name);
    return pyd2_py_json_name(NUMBER(json), pointer.data, pointer.length, index, name);
}

static int json_quote(pyd2_hook_text text, pyd2_hook_text *quoted)
{
    ON_HOOK_THREAD();
    TEXT(text);
    NOT_NULL(quoted);
    return pyd2_py_json_quote(text.data, text.length, quoted);
}

/* ---- A callout ---- */

static int hook_name(const pyd2_hook_callout *callout, pyd2_hook_text *name)
{
    ON_HOOK_THREAD();
    NOT_NULL(name);
    return pyd2_py_hook_name(NUMBER(callout), name);
}

static int argument_text(const pyd2_hook_callout *callout, pyd2_hook_text name, pyd2_hook_text *text)
{
    ON_HOOK_THREAD();
    TEXT(name);
    NOT_NULL(text);
    return pyd2_py_argument_text(NUMBER(callout), name.data, name.length, text);
}

static int argument_json(const pyd2_hook_callout *callout, pyd2_hook_text name, const pyd2_hook_json **json)
{
    ON_HOOK_THREAD();
    TEXT(name);
    NOT_NULL(json);
    HAND_OUT(pyd2_py_argument_json(NUMBER(callout), name.data, name.length, &number), const pyd2_hook_json, json);
}

#define SET_ARGUMENT_FUNCTION(kind) \
    static int set_argument_##kind(pyd2_hook_callout *callout, pyd2_hook_text name, pyd2_hook_text kind) \
    { \
        ON_HOOK_THREAD(); \
        TEXT(name); \
        TEXT(kind); \
        return pyd2_py_set_argument_##kind(NUMBER(callout), name.data, name.length, kind.data, kind.length); \
    }

SET_ARGUMENT_FUNCTION(json)
SET_ARGUMENT_FUNCTION(text)

static int set_context(pyd2_hook_callout *callout, pyd2_hook_text name, void *value,
                       pyd2_hook_destroy_function *destroy)
{
    ON_HOOK_THREAD();
    TEXT(name);
    return pyd2_py_set_context(NUMBER(callout), name.data, name.length, value, ADDRESS(destroy));
}

static int get_context(const pyd2_hook_callout *callout, pyd2_hook_text name, void **value)
{
    ON_HOOK_THREAD();
    TEXT(name);
    NOT_NULL(value);
    return pyd2_py_context(NUMBER(callout), name.data, name.length, value);
}

static int delete_context(pyd2_hook_callout *callout, pyd2_hook_text name)
{
    ON_HOOK_THREAD();
    TEXT(name);
    return pyd2_py_delete_context(NUMBER(callout), name.data, name.length);
}

/* ---- Keys ---- */

static int key_new(pyd2_hook_library *library, pyd2_hook_text name, pyd2_hook_text algorithm,
                   pyd2_hook_text secret, uint32_t digest_bits, pyd2_hook_key **key)
{
    ON_HOOK_THREAD();
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
    pyd2_hook_signer known;
    ON_HOOK_THREAD();
    TEXT(name);
    TEXT(algorithm);
    NOT_NULL(signer);
    NOT_NULL(key);
    GROWN(known, signer, PYD2_HOOK_SIZE_TO(pyd2_hook_signer, release));
    NOT_NULL(signer->sign);
    NOT_NULL(signer->verify);
    HAND_OUT(pyd2_py_signer_new(NUMBER(library), name.data, name.length, algorithm.data, algorithm.length,
                                &known, user, &number),
             pyd2_hook_key, key);
}

static int key_name(const pyd2_hook_key *key, pyd2_hook_text *name)
{
    ON_HOOK_THREAD();
    NOT_NULL(name);
    return pyd2_py_key_name(NUMBER(key), name);
}

static int key_algorithm(const pyd2_hook_key *key, pyd2_hook_text *algorithm)
{
    ON_HOOK_THREAD();
    NOT_NULL(algorithm);
    return pyd2_py_key_algorithm(NUMBER(key), algorithm);
}

static int key_release(pyd2_hook_library *library, pyd2_hook_key *key)
{
    ON_HOOK_THREAD();
    return pyd2_py_key_release(NUMBER(library), NUMBER(key));
}

/* ---- Timers ---- */

static int timer_start(pyd2_hook_library *library, uint32_t delay, uint32_t period,
                       pyd2_hook_timer_function *function, void *user, pyd2_hook_timer **timer)
{
    pyd2_hook_timer *unwanted;
    ON_HOOK_THREAD();
    NOT_NULL(function);
    if (timer == NULL)
        timer = &unwanted;
    HAND_OUT(pyd2_py_timer_start(NUMBER(library), delay, period, ADDRESS(function), user, &number),
             pyd2_hook_timer, timer);
}

static int timer_cancel(pyd2_hook_library *library, pyd2_hook_timer *timer)
{
    ON_HOOK_THREAD();
    return pyd2_py_timer_cancel(NUMBER(library), NUMBER(timer));
}

/* ---- The table ---- */

const pyd2_hook_api pyd2_glue_table = {
    .version = PYD2_HOOK_VERSION,
    .size = sizeof(pyd2_hook_api),
    .last_error = pyd2_guard_last_error,
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
    .status = pyd2_callout_status,
    .set_status = pyd2_callout_set_status,
    .argument_json = argument_json,
    .argument_text = argument_text,
    .set_argument_json = set_argument_json,
    .set_argument_text = set_argument_text,
    .current_server = pyd2_callout_current_server,
    .tsig_key = pyd2_callout_tsig_key,
    .set_tsig_key = pyd2_callout_set_tsig_key,
    .set_context = set_context,
    .context = get_context,
    .delete_context = delete_context,
    .server_address = pyd2_callout_server_address,
    .server_port = pyd2_callout_server_port,
    .server_key_name = pyd2_callout_server_key_name,
    .key_new = key_new,
    .signer_new = signer_new,
    .key_name = key_name,
    .key_algorithm = key_algorithm,
    .key_release = key_release,
    .timer_start = timer_start,
    .timer_cancel = timer_cancel,
};
