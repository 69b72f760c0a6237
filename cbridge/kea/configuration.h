/* The configuration as compiled libraries see it: Kea's own objects, made by Kea's own parser. */
#ifndef PYD2_KEA_CONFIGURATION_H
#define PYD2_KEA_CONFIGURATION_H

#include "elements.h"
#include "keys.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C interface */

/* A configuration (D2CfgContext). kb_config_free(). */
typedef struct kb_config kb_config;

/* A DNS server (DnsServerInfo). kb_server_free(). */
typedef struct kb_server kb_server;

/*
 * Make the objects of a configuration from the DhcpDdns map with its defaults. `hooks-libraries` are recorded, but
 * neither checked nor loaded. NULL if Kea refuses the configuration; the error is Kea's text.
 */
kb_config* kb_config_parse(const kb_element* dhcp_ddns);

/* Free a handle; libraries may still hold the configuration. NULL is allowed. */
void kb_config_free(kb_config* config);

/*
 * Return the index-th server, from 0, of a forward (reverse: 0) or reverse (1) domain with this configured name; NULL
 * if there is none.
 */
kb_server* kb_config_server(kb_config* config, int reverse, const char* domain, size_t index);

/* Make a server of a configuration that is not in force any more; `key_name` may be NULL. NULL on failure. */
kb_server* kb_server_new(const char* address, uint32_t port, const char* key_name, const char* algorithm,
                         const char* secret_base64, uint32_t digest_bits);

/* Return the server's key, NULL when it has none. */
kb_key* kb_server_key(kb_server* server);

/* Return a number that is the same for two handles if, and only if, they hold the same server object. */
uintptr_t kb_server_identity(const kb_server* server);

/* Free a handle. NULL is allowed. */
void kb_server_free(kb_server* server);

/* end of the C interface */
#ifdef __cplusplus
}

#include <d2srv/d2_cfg_mgr.h>
#include <d2srv/d2_config.h>

struct kb_config {
    isc::d2::D2CfgContextPtr value;
};

struct kb_server {
    isc::d2::DnsServerInfoPtr value;
};

namespace pyd2 {

/*
 * Describe the objects of a configuration, field by field, as the server uses them: a map of
 *   shown             what config-get shows, a map with the member DhcpDdns
 *   keys              the list of the configured keys
 *   forward, reverse  lists of domains: name, key-name, servers, user-context
 * in which a server has ip-address, port, key-name as config-get shows it, the key that it signs with, and its
 * user-context; a key has name, algorithm, digest-bits, secret, secret-file, user-context. Absent values are
 * left out.
 */
isc::data::ElementPtr describe(isc::d2::D2CfgContext& config);

}  // namespace pyd2
#endif
#endif
