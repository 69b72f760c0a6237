/* Skip the DNS servers that the parameter "servers" lists; the domain's next server is tried. */
#include <stdio.h>
#include <stdlib.h>

#include "pyd2_hook.h"

PYD2_HOOK_DEFINE_VERSION

struct avoided {
    const pyd2_hook_api *api;
    size_t count;
    char servers[][64];
};

/* Decide on one server, for one update. */
static int select_key(pyd2_hook_callout *callout, void *user)
{
    const struct avoided *avoided = user;
    const pyd2_hook_server *server;
    pyd2_hook_text address;
    size_t i;

    if (avoided->api->current_server(callout, &server) != PYD2_HOOK_OK
        || avoided->api->server_address(server, &address) != PYD2_HOOK_OK)
        return 1;
    for (i = 0; i < avoided->count; i++)
        if (pyd2_hook_equal(address, avoided->servers[i]))
            return avoided->api->set_status(callout, PYD2_HOOK_SKIP);
    return 0;
}

/* Say why the configuration is refused. */
static int refuse(const pyd2_hook_api *api, pyd2_hook_library *library)
{
    api->log(library, PYD2_HOOK_ERROR, pyd2_hook_string(api->last_error()));
    return 1;
}

/* Read the parameters; without them the configuration is refused. */
int pyd2_hook_load(const pyd2_hook_api *api, pyd2_hook_library *library, void **state)
{
    const pyd2_hook_json *parameters;
    struct avoided *avoided;
    size_t count;

    if (!pyd2_hook_fits(api))
        return 2;
    if (api->parameters(library, &parameters) != PYD2_HOOK_OK
        || api->json_count(parameters, pyd2_hook_string("/servers"), &count) != PYD2_HOOK_OK)
        return refuse(api, library);
    avoided = calloc(1, sizeof *avoided + count * sizeof avoided->servers[0]);
    if (avoided == NULL)
        return 1;
    *state = avoided; /* from here on unload frees it, also when load fails */
    avoided->api = api;
    while (avoided->count < count) {
        char pointer[32];
        pyd2_hook_text text;
        snprintf(pointer, sizeof pointer, "/servers/%zu", avoided->count);
        if (api->json_text(parameters, pyd2_hook_string(pointer), &text) != PYD2_HOOK_OK)
            return refuse(api, library);
        snprintf(avoided->servers[avoided->count++], sizeof avoided->servers[0], "%s", text.data);
    }
    return api->register_callout(library, pyd2_hook_string("select_key"), select_key, avoided);
}

int pyd2_hook_unload(void *state)
{
    free(state);
    return 0;
}
