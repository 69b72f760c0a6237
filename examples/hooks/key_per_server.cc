// Choose the TSIG key by the server's address, whatever the configuration says.
//
//     "hooks-libraries": [ {
//         "library": "key_per_server.so",
//         "parameters": {
//             "keys": {
//                 "192.0.2.1": { "name": "a.", "algorithm": "HMAC-SHA256", "secret": "bm90IHZlcnkgc2VjcmV0" }
//             },
//             "unsigned": [ "192.0.2.9" ]
//         }
//     } ]
//
// A server of "unsigned" gets unsigned updates. All others keep the key of the configuration.
// The library runs in kea-dhcp-ddns and in pyd2. To compile it:
//
//     c++ -std=c++17 -O2 -fPIC -shared -I/usr/include/kea key_per_server.cc -o key_per_server.so
#include <cc/data.h>
#include <d2srv/d2_config.h>
#include <exceptions/exceptions.h>
#include <hooks/hooks.h>

#include <map>
#include <string>

using isc::d2::D2TsigKeyPtr;
using isc::d2::DnsServerInfoPtr;
using isc::d2::TSIGKeyInfo;
using isc::data::ConstElementPtr;
using isc::hooks::CalloutHandle;
using isc::hooks::LibraryHandle;

namespace {

std::map<std::string, D2TsigKeyPtr> keys;

std::string member(const std::string& address, const ConstElementPtr& entry, const std::string& name) {
    const ConstElementPtr value = entry->get(name);
    if (!value) {
        isc_throw(isc::BadValue, "the key for " << address << " has no " << name);
    }
    return value->stringValue();
}

}  // namespace

extern "C" {

int version() {
    return KEA_HOOKS_VERSION;
}

// Make the keys once; what is wrong with the parameters refuses the configuration.
int load(LibraryHandle& handle) {
    if (const ConstElementPtr entries = handle.getParameter("keys")) {
        for (const auto& item : entries->mapValue()) {
            const std::string& address = item.first;
            const TSIGKeyInfo key(member(address, item.second, "name"), member(address, item.second, "algorithm"),
                                  member(address, item.second, "secret"));
            keys[address] = key.getTSIGKey();
        }
    }
    if (const ConstElementPtr addresses = handle.getParameter("unsigned")) {
        for (const auto& address : addresses->listValue()) {
            keys[address->stringValue()] = D2TsigKeyPtr();
        }
    }
    return 0;
}

int unload() {
    keys.clear();
    return 0;
}

// Replace the key when this server has one of its own.
int select_key(CalloutHandle& handle) {
    DnsServerInfoPtr server;
    handle.getArgument("current_server", server);
    const auto found = keys.find(server->getIpAddress().toText());
    if (found != keys.end()) {
        handle.setArgument("tsig_key", found->second);
    }
    return 0;
}
}
