/*
 * Write down each selection of a server: when, which server, which key, and what the libraries decided.
 *
 *     "hooks-libraries": [
 *         ...
 *         { "library": "audit.so", "parameters": { "file": "/var/log/kea/audit.log" } }
 *     ]
 *
 * Put it last: it sees what the libraries before it decided. To compile it:
 *
 *     cc -O2 -fPIC -shared audit.c -o audit.so
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pyd2_hook.h"

PYD2_HOOK_DEFINE_VERSION

struct state {
    const pyd2_hook_api *api;
    FILE *file;
};

static int select_key(pyd2_hook_callout *callout, void *user)
{
    static const char *const statuses[] = { "CONTINUE", "SKIP", "DROP", "PARK" };
    const struct state *state = user;
    const pyd2_hook_api *api = state->api;
    pyd2_hook_text address, signer = pyd2_hook_string("unsigned");
    const pyd2_hook_server *server;
    const pyd2_hook_key *key;
    struct timespec now;
    struct tm utc;
    char date[32];
    uint16_t port;
    int status;

    if (api->current_server(callout, &server) != PYD2_HOOK_OK
        || api->server_address(server, &address) != PYD2_HOOK_OK
        || api->server_port(server, &port) != PYD2_HOOK_OK
        || api->status(callout, &status) != PYD2_HOOK_OK
        || api->tsig_key(callout, &key) != PYD2_HOOK_OK)
        return 1;
    if (key != NULL && api->key_name(key, &signer) != PYD2_HOOK_OK)
        return 1;
    clock_gettime(CLOCK_REALTIME, &now);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &utc));
    fprintf(state->file, "%s.%03ld+00:00 %.*s#%u %.*s %s\n", date, now.tv_nsec / 1000000, (int)address.length,
            address.data, port, (int)signer.length, signer.data, statuses[status]);
    return ferror(state->file) ? 1 : 0;
}

/* Open the file; one that cannot be opened refuses the configuration. */
static int open_file(struct state *state, pyd2_hook_library *library)
{
    const pyd2_hook_api *api = state->api;
    const pyd2_hook_json *parameters;
    pyd2_hook_text path;
    char text[512];

    if (api->parameters(library, &parameters) != PYD2_HOOK_OK
        || api->json_text(parameters, pyd2_hook_string("/file"), &path) != PYD2_HOOK_OK) {
        api->log(library, PYD2_HOOK_ERROR, pyd2_hook_string("the parameter file is missing"));
        return 1;
    }
    state->file = fopen(path.data, "a"); /* lent texts end with NUL */
    if (state->file == NULL) {
        snprintf(text, sizeof text, "cannot open %s: %s", path.data, strerror(errno));
        api->log(library, PYD2_HOOK_ERROR, pyd2_hook_string(text));
        return 1;
    }
    /* Line by line: a line is on its way to the disk before the update leaves. */
    setvbuf(state->file, NULL, _IOLBF, BUFSIZ);
    snprintf(text, sizeof text, "selections are written to %s", path.data);
    return api->log(library, PYD2_HOOK_INFO, pyd2_hook_string(text));
}

int pyd2_hook_load(const pyd2_hook_api *api, pyd2_hook_library *library, void **result)
{
    struct state *state;

    if (!pyd2_hook_fits(api))
        return 2;
    state = calloc(1, sizeof *state);
    if (state == NULL)
        return 1;
    *result = state;
    state->api = api;
    if (open_file(state, library) != 0)
        return 1;
    return api->register_callout(library, pyd2_hook_string("select_key"), select_key, state);
}

int pyd2_hook_unload(void *result)
{
    struct state *state = result;
    if (state != NULL && state->file != NULL)
        fclose(state->file);
    free(state);
    return 0;
}
