// Refuse a configuration in which an update could leave unsigned, and say why.
//
// It takes no parameters: "hooks-libraries": [ { "library": "require_keys.so" } ]
// The library runs in kea-dhcp-ddns and in pyd2. To compile it:
//
//     c++ -std=c++17 -O2 -fPIC -shared -I/usr/include/kea require_keys.cc -o require_keys.so
#include <d2srv/d2_cfg_mgr.h>
#include <hooks/hooks.h>

#include <string>

using isc::d2::D2CfgContextPtr;
using isc::hooks::CalloutHandle;

extern "C" {

int version() {
    return KEA_HOOKS_VERSION;
}

// Look for servers without a key. The text of "error" becomes the answer of config-set.
int d2_srv_configured(CalloutHandle& handle) {
    D2CfgContextPtr config;
    handle.getArgument("server_config", config);
    std::string without;
    for (const auto& manager : {config->getForwardMgr(), config->getReverseMgr()}) {
        for (const auto& domain : *manager->getDomains()) {
            for (const auto& server : *domain.second->getServers()) {
                if (!server->getTSIGKeyInfo()) {
                    without += (without.empty() ? "" : ", ") + server->getIpAddress().toText() + " of " +
                               domain.second->getName();
                }
            }
        }
    }
    if (!without.empty()) {
        handle.setArgument("error", "no TSIG key for " + without);
        handle.setStatus(CalloutHandle::NEXT_STEP_DROP);
    }
    return 0;
}
}
