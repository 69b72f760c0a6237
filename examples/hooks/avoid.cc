// Skip the DNS servers that the parameter "servers" lists; the domain's next server is tried.
#include <cc/data.h>
#include <d2srv/d2_config.h>
#include <exceptions/exceptions.h>
#include <hooks/hooks.h>

#include <set>
#include <string>

using isc::d2::DnsServerInfoPtr;
using isc::data::ConstElementPtr;
using isc::hooks::CalloutHandle;
using isc::hooks::LibraryHandle;

namespace {
std::set<std::string> avoided;
}

extern "C" {

int version() {
    return KEA_HOOKS_VERSION;
}

// Read the parameters; without them the configuration is refused.
int load(LibraryHandle& handle) {
    const ConstElementPtr servers = handle.getParameter("servers");
    if (!servers) {
        isc_throw(isc::BadValue, "the parameter servers is missing");
    }
    avoided.clear();
    for (const auto& server : servers->listValue()) {
        avoided.insert(server->stringValue());
    }
    return 0;
}

// Decide on one server, for one update.
int select_key(CalloutHandle& handle) {
    DnsServerInfoPtr server;
    handle.getArgument("current_server", server);
    if (avoided.count(server->getIpAddress().toText()) != 0) {
        handle.setStatus(CalloutHandle::NEXT_STEP_SKIP);
    }
    return 0;
}
}
