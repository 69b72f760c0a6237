#include "configuration.h"

#include <asiolink/io_address.h>
#include <d2srv/d2_simple_parser.h>
#include <exceptions/exceptions.h>
#include <process/daemon.h>

#include <string>

using isc::d2::D2CfgContext;
using isc::d2::D2CfgContextPtr;
using isc::d2::D2SimpleParser;
using isc::d2::DnsServerInfo;
using isc::d2::DnsServerInfoPtr;
using isc::d2::TSIGKeyInfo;
using isc::d2::TSIGKeyInfoPtr;
using isc::data::ConstElementPtr;
using isc::data::Element;
using isc::data::ElementPtr;

namespace {

const std::string libraries_name = "hooks-libraries";

/* Record the libraries as Kea's own parser does, but without checking the files: it would refuse Python's. */
void record_libraries(D2CfgContext& context, const ConstElementPtr& libraries) {
    if (!libraries) {
        return;
    }
    for (const ElementPtr& entry : libraries->listValue()) {
        context.getHooksConfig().add(entry->get("library")->stringValue(), entry->get("parameters"));
    }
}

void add_context(const ElementPtr& map, const isc::data::UserContext& owner) {
    if (owner.getContext()) {
        map->set("user-context", owner.getContext());
    }
}

ElementPtr describe_key(TSIGKeyInfo& key) {
    const ElementPtr map = Element::createMap();
    map->set("name", Element::create(key.getName()));
    map->set("algorithm", Element::create(key.getAlgorithm()));
    map->set("digest-bits", Element::create(static_cast<int64_t>(key.getDigestbits())));
    map->set("secret", Element::create(key.getSecret()));
    map->set("secret-file", Element::create(key.getSecretFile()));
    add_context(map, key);
    return map;
}

ElementPtr describe_server(DnsServerInfo& server) {
    const ElementPtr map = Element::createMap();
    map->set("ip-address", Element::create(server.getIpAddress().toText()));
    map->set("port", Element::create(static_cast<int64_t>(server.getPort())));
    const ConstElementPtr key_name = server.toElement()->get("key-name");
    if (key_name) {
        map->set("key-name", key_name);
    }
    if (server.getTSIGKeyInfo()) {
        map->set("key", describe_key(*server.getTSIGKeyInfo()));
    }
    add_context(map, server);
    return map;
}

ElementPtr describe_domains(isc::d2::DdnsDomainListMgr& manager) {
    const ElementPtr list = Element::createList();
    for (const auto& entry : *manager.getDomains()) {
        const ElementPtr map = Element::createMap();
        map->set("name", Element::create(entry.second->getName()));
        map->set("key-name", Element::create(entry.second->getKeyName()));
        const ElementPtr servers = Element::createList();
        for (const DnsServerInfoPtr& server : *entry.second->getServers()) {
            servers->add(describe_server(*server));
        }
        map->set("servers", servers);
        add_context(map, *entry.second);
        list->add(map);
    }
    return list;
}

}  // namespace

ElementPtr pyd2::describe(D2CfgContext& config) {
    const ElementPtr map = Element::createMap();
    map->set("shown", config.toElement());
    const ElementPtr keys = Element::createList();
    for (const auto& entry : *config.getKeys()) {
        keys->add(describe_key(*entry.second));
    }
    map->set("keys", keys);
    map->set("forward", describe_domains(*config.getForwardMgr()));
    map->set("reverse", describe_domains(*config.getReverseMgr()));
    return map;
}

kb_config* kb_config_parse(const kb_element* dhcp_ddns) {
    return pyd2::guarded<kb_config*>(nullptr, [&] {
        // A new map with the same members, without the libraries, which Kea's parser would check.
        const ElementPtr map = Element::createMap(dhcp_ddns->value->getPosition());
        for (const auto& member : dhcp_ddns->value->mapValue()) {
            if (member.first != libraries_name) {
                map->set(member.first, member.second);
            }
        }
        const ConstElementPtr libraries = dhcp_ddns->value->get(libraries_name);
        const D2CfgContextPtr context(new D2CfgContext());
        D2SimpleParser::setAllDefaults(map);
        D2SimpleParser().parse(context, map, true);
        record_libraries(*context, libraries);
        isc::process::Daemon::configureLogger(map, context);
        return new kb_config{context};
    });
}

void kb_config_free(kb_config* config) {
    delete config;
}

kb_server* kb_config_server(kb_config* config, int reverse, const char* domain, size_t index) {
    return pyd2::guarded<kb_server*>(nullptr, [&] {
        const isc::d2::DdnsDomainListMgrPtr manager =
            reverse != 0 ? config->value->getReverseMgr() : config->value->getForwardMgr();
        const auto found = manager->getDomains()->find(domain);
        if (found == manager->getDomains()->end() || index >= found->second->getServers()->size()) {
            isc_throw(isc::BadValue, "domain " << domain << " has no server " << index);
        }
        return new kb_server{found->second->getServers()->at(index)};
    });
}

kb_server* kb_server_new(const char* address, uint32_t port, const char* key_name, const char* algorithm,
                         const char* secret_base64, uint32_t digest_bits) {
    return pyd2::guarded<kb_server*>(nullptr, [&] {
        TSIGKeyInfoPtr key;
        if (key_name != nullptr) {
            key.reset(new TSIGKeyInfo(key_name, algorithm, secret_base64, "", digest_bits));
        }
        return new kb_server{DnsServerInfoPtr(
            new DnsServerInfo("", isc::asiolink::IOAddress(address), port, true, key, true))};
    });
}

kb_key* kb_server_key(kb_server* server) {
    return pyd2::guarded<kb_key*>(nullptr, [&]() -> kb_key* {
        const TSIGKeyInfoPtr& key = server->value->getTSIGKeyInfo();
        return key ? pyd2::wrap(key->getTSIGKey()) : nullptr;
    });
}

uintptr_t kb_server_identity(const kb_server* server) {
    return reinterpret_cast<uintptr_t>(server->value.get());
}

void kb_server_free(kb_server* server) {
    delete server;
}
