/*
 * Choose the TSIG key by the server's address, whatever the configuration says.
 *
 *     "hooks-libraries": [ {
 *         "library": "key_per_server.so",
 *         "parameters": {
 *             "keys": {
 *                 "192.0.2.1": { "name": "a.", "algorithm": "HMAC-SHA256", "secret": "bm90IHZlcnkgc2VjcmV0" }
 *             },
 *             "unsigned": [ "192.0.2.9" ]
 *         }
 *     } ]
 *
 * A server of "unsigned" gets unsigned updates. All others keep the key of the configuration. To compile it:
 *
 *     cc -O2 -fPIC -shared key_per_server.c -o key_per_server.so
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pyd2_hook.h"

PYD2_HOOK_DEFINE_VERSION

struct choice {
    char address[64];
    pyd2_hook_key *key; /* null: unsigned */
};

struct state {
    const pyd2_hook_api *api;
    pyd2_hook_library *library;
    struct choice *choices;
    size_t count;
};

/* Replace the key when this server has one of its own. */
static int select_key(pyd2_hook_callout *callout, void *user)
{
    const struct state *state = user;
    const pyd2_hook_server *server;
    pyd2_hook_text address;
    size_t i;

    if (state->api->current_server(callout, &server) != PYD2_HOOK_OK
        || state->api->server_address(server, &address) != PYD2_HOOK_OK)
        return 1;
    for (i = 0; i < state->count; i++)
        if (pyd2_hook_equal(address, state->choices[i].address))
            return state->api->set_tsig_key(callout, state->choices[i].key);
    return 0;
}

/* Say why the parameters are of no use; last_error() has the details. */
static int refuse(const struct state *state, const char *address)
{
    char text[256];
    snprintf(text, sizeof text, "the key for %s: %s", address, state->api->last_error());
    state->api->log(state->library, PYD2_HOOK_ERROR, pyd2_hook_string(text));
    return 1;
}

/* Read a text below an entry of "keys". */
static int read_text(const struct state *state, const pyd2_hook_json *parameters, const char *address,
                     const char *member, pyd2_hook_text *text)
{
    char pointer[128];
    snprintf(pointer, sizeof pointer, "/keys/%s/%s", address, member);
    return state->api->json_text(parameters, pyd2_hook_string(pointer), text);
}

/* Add one server; its address is text that lives only as long as load. */
static struct choice *add(struct state *state, pyd2_hook_text address)
{
    struct choice *choice = &state->choices[state->count++];
    snprintf(choice->address, sizeof choice->address, "%.*s", (int)address.length, address.data);
    choice->key = NULL;
    return choice;
}

/* Make the keys once. */
static int read_parameters(struct state *state)
{
    const pyd2_hook_api *api = state->api;
    pyd2_hook_text address, name, algorithm, secret;
    const pyd2_hook_json *parameters;
    size_t keys = 0, without = 0, i;
    char pointer[32];

    if (api->parameters(state->library, &parameters) != PYD2_HOOK_OK)
        return 1;
    /* Either may be absent: then the counts stay 0. */
    api->json_count(parameters, pyd2_hook_string("/keys"), &keys);
    api->json_count(parameters, pyd2_hook_string("/unsigned"), &without);
    state->choices = calloc(keys + without + 1, sizeof *state->choices);
    if (state->choices == NULL)
        return 1;
    for (i = 0; i < keys; i++) {
        struct choice *choice;
        if (api->json_name(parameters, pyd2_hook_string("/keys"), i, &address) != PYD2_HOOK_OK)
            return refuse(state, "?");
        choice = add(state, address);
        if (read_text(state, parameters, choice->address, "name", &name) != PYD2_HOOK_OK
            || read_text(state, parameters, choice->address, "algorithm", &algorithm) != PYD2_HOOK_OK
            || read_text(state, parameters, choice->address, "secret", &secret) != PYD2_HOOK_OK
            || api->key_new(state->library, name, algorithm, secret, 0, &choice->key) != PYD2_HOOK_OK)
            return refuse(state, choice->address);
    }
    for (i = 0; i < without; i++) {
        snprintf(pointer, sizeof pointer, "/unsigned/%zu", i);
        if (api->json_text(parameters, pyd2_hook_string(pointer), &address) != PYD2_HOOK_OK)
            return refuse(state, "?");
        add(state, address);
    }
    return 0;
}

int pyd2_hook_load(const pyd2_hook_api *api, pyd2_hook_library *library, void **result)
{
    struct state *state;

    if (!pyd2_hook_fits(api))
        return 2;
    state = calloc(1, sizeof *state);
    if (state == NULL)
        return 1;
    *result = state; /* from here on, unload frees it, also when load fails */
    state->api = api;
    state->library = library;
    if (read_parameters(state) != 0)
        return 1;
    return api->register_callout(library, pyd2_hook_string("select_key"), select_key, state);
}

int pyd2_hook_unload(void *result)
{
    struct state *state = result;
    if (state != NULL)
        free(state->choices);
    free(state);
    return 0;
}
