/*
 * Stands for the pyd2 of before 1.0: it asks a library and calls it as that did, and its table is that header's and no
 * larger. The table ends where its memory ends, so AddressSanitizer sees whoever reads behind it.
 *
 * Usage: host LIBRARY. Prints what the library logs, then what its functions return.
 */
#define _GNU_SOURCE /* for dlsym's pointers to functions in pedantic C */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "pyd2_hook.h"

#define SYMBOL(variable, object, name) \
    do { \
        void *address = dlsym(object, name); \
        memcpy(&(variable), &address, sizeof(variable)); \
    } while (0)

static int library_handle, json_handle, callout_handle, server_handle, key_handle, timer_handle;
static pyd2_hook_callout_function *callout_function;
static void *callout_user;
static pyd2_hook_timer_function *timer_function;
static int status_now = PYD2_HOOK_CONTINUE;

static const char *last_error(void)
{
    return "";
}

static int register_callout(pyd2_hook_library *library, pyd2_hook_text hook, pyd2_hook_callout_function *function,
                            void *user)
{
    if ((int *)library != &library_handle || !pyd2_hook_equal(hook, "select_key"))
        return PYD2_HOOK_E_HANDLE;
    callout_function = function;
    callout_user = user;
    return PYD2_HOOK_OK;
}

static int parameters(pyd2_hook_library *library, pyd2_hook_json **json)
{
    (void)library;
    *json = (pyd2_hook_json *)&json_handle;
    return PYD2_HOOK_OK;
}

static int write_log(pyd2_hook_library *library, int severity, pyd2_hook_text text)
{
    (void)library;
    (void)severity;
    printf("%.*s\n", (int)text.length, text.data);
    return PYD2_HOOK_OK;
}

static int json_integer(pyd2_hook_json *json, pyd2_hook_text pointer, int64_t *number)
{
    (void)pointer;
    *number = 7;
    return (int *)json == &json_handle ? PYD2_HOOK_OK : PYD2_HOOK_E_HANDLE;
}

static int set_status(pyd2_hook_callout *callout, int status)
{
    status_now = status;
    return (int *)callout == &callout_handle ? PYD2_HOOK_OK : PYD2_HOOK_E_HANDLE;
}

static int current_server(pyd2_hook_callout *callout, pyd2_hook_server **server)
{
    (void)callout;
    *server = (pyd2_hook_server *)&server_handle;
    return PYD2_HOOK_OK;
}

static int server_address(pyd2_hook_server *server, pyd2_hook_text *address)
{
    *address = pyd2_hook_string("192.0.2.1");
    return (int *)server == &server_handle ? PYD2_HOOK_OK : PYD2_HOOK_E_HANDLE;
}

static int set_tsig_key(pyd2_hook_callout *callout, pyd2_hook_key *key)
{
    (void)callout;
    return (int *)key == &key_handle ? PYD2_HOOK_OK : PYD2_HOOK_E_HANDLE;
}

static int signer_new(pyd2_hook_library *library, pyd2_hook_text name, pyd2_hook_text algorithm,
                      const pyd2_hook_signer *signer, void *user, pyd2_hook_key **key)
{
    (void)library;
    (void)name;
    (void)algorithm;
    (void)user;
    if (signer->size != sizeof *signer)
        return PYD2_HOOK_E_INVALID;
    *key = (pyd2_hook_key *)&key_handle;
    return PYD2_HOOK_OK;
}

static int timer_start(pyd2_hook_library *library, uint32_t delay, uint32_t period, pyd2_hook_timer_function *function,
                       void *user, pyd2_hook_timer **timer)
{
    (void)library;
    (void)delay;
    (void)period;
    (void)user;
    timer_function = function;
    *timer = (pyd2_hook_timer *)&timer_handle;
    return PYD2_HOOK_OK;
}

static int timer_cancel(pyd2_hook_library *library, pyd2_hook_timer *timer)
{
    (void)library;
    return (int *)timer == &timer_handle ? PYD2_HOOK_OK : PYD2_HOOK_E_HANDLE;
}

static const pyd2_hook_api FILLED = {
    .version = PYD2_HOOK_VERSION, .size = sizeof(pyd2_hook_api), .last_error = last_error,
    .register_callout = register_callout, .parameters = parameters, .log = write_log, .json_integer = json_integer,
    .set_status = set_status, .current_server = current_server, .server_address = server_address,
    .set_tsig_key = set_tsig_key, .signer_new = signer_new, .timer_start = timer_start, .timer_cancel = timer_cancel,
};

int main(int count, char **arguments)
{
    pyd2_hook_requirement (*version)(void);
    int (*load)(const pyd2_hook_api *, pyd2_hook_library *, void **);
    int (*unload)(void *);
    void *state = NULL;
    pyd2_hook_requirement requirement;
    pyd2_hook_api *api = malloc(sizeof *api);
    void *object = count == 2 ? dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL) : NULL;

    if (object == NULL || api == NULL)
        return fprintf(stderr, "%s\n", dlerror()), 1;
    SYMBOL(version, object, "pyd2_hook_version");
    SYMBOL(load, object, "pyd2_hook_load");
    SYMBOL(unload, object, "pyd2_hook_unload");
    requirement = version();
    if (requirement.version != PYD2_HOOK_VERSION || requirement.api_size > sizeof *api) {
        printf("refused: version %u with a table of %u octets\n", requirement.version, requirement.api_size);
        free(api);
        return 2;
    }
    memcpy(api, &FILLED, sizeof *api);
    printf("load %d\n", load(api, (pyd2_hook_library *)&library_handle, &state));
    printf("callout %d\n", callout_function((pyd2_hook_callout *)&callout_handle, callout_user));
    printf("status %d\n", status_now);
    timer_function((pyd2_hook_timer *)&timer_handle, NULL);
    printf("unload %d\n", unload(state));
    free(api);
    return 0;
}
