/*
 * Refuse a configuration in which an update could leave unsigned, and say why.
 *
 * It takes no parameters: "hooks-libraries": [ { "library": "require_keys.so" } ]
 * To compile it:
 *
 *     cc -O2 -fPIC -shared require_keys.c -o require_keys.so
 */
#include <stdio.h>
#include <string.h>

#include "pyd2_hook.h"

PYD2_HOOK_DEFINE_VERSION

static const pyd2_hook_api *api; /* the same in all loads of a process */

/* Return 1 if a map has a text that is not empty. */
static int has_key_name(const pyd2_hook_json *config, const char *map)
{
    char pointer[256];
    pyd2_hook_text name;
    snprintf(pointer, sizeof pointer, "%s/key-name", map);
    return api->json_text(config, pyd2_hook_string(pointer), &name) == PYD2_HOOK_OK && name.length > 0;
}

/* Add to the reason the servers of one side that have no key; returns the number of them. */
static int look(const pyd2_hook_json *config, const char *side, char *reason, size_t size)
{
    char domain[96], server[192], pointer[256];
    pyd2_hook_text zone, address;
    size_t domains = 0, servers, i, j;
    int found = 0;

    snprintf(pointer, sizeof pointer, "/%s/ddns-domains", side);
    api->json_count(config, pyd2_hook_string(pointer), &domains);
    for (i = 0; i < domains; i++) {
        snprintf(domain, sizeof domain, "/%s/ddns-domains/%zu", side, i);
        if (has_key_name(config, domain))
            continue; /* for all its servers */
        snprintf(pointer, sizeof pointer, "%s/name", domain);
        api->json_text(config, pyd2_hook_string(pointer), &zone);
        snprintf(pointer, sizeof pointer, "%s/dns-servers", domain);
        servers = 0;
        api->json_count(config, pyd2_hook_string(pointer), &servers);
        for (j = 0; j < servers; j++) {
            size_t used = strlen(reason);
            snprintf(server, sizeof server, "%s/dns-servers/%zu", domain, j);
            if (has_key_name(config, server))
                continue;
            snprintf(pointer, sizeof pointer, "%s/ip-address", server);
            api->json_text(config, pyd2_hook_string(pointer), &address);
            snprintf(reason + used, size - used, "%s %.*s of %.*s", used == 0 ? "no TSIG key for" : ",",
                     (int)address.length, address.data, (int)zone.length, zone.data);
            found++;
        }
    }
    return found;
}

/* The text of "error" becomes the answer of config-set. */
static int configured(pyd2_hook_callout *callout, void *user)
{
    const pyd2_hook_json *config;
    char reason[4096] = "";
    int found;

    (void)user;
    if (api->argument_json(callout, pyd2_hook_string("json_config"), &config) != PYD2_HOOK_OK)
        return 1;
    found = look(config, "forward-ddns", reason, sizeof reason);
    found += look(config, "reverse-ddns", reason, sizeof reason);
    if (found == 0)
        return 0;
    return api->set_argument_text(callout, pyd2_hook_string("error"), pyd2_hook_string(reason))
         | api->set_status(callout, PYD2_HOOK_DROP);
}

int pyd2_hook_load(const pyd2_hook_api *table, pyd2_hook_library *library, void **state)
{
    (void)state;
    if (!pyd2_hook_fits(table))
        return 2;
    api = table;
    return api->register_callout(library, pyd2_hook_string("d2_srv_configured"), configured, NULL);
}
