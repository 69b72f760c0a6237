// Take DNS servers out of service for a while, with a command of the control channel.
//
//     { "command": "maintenance-set", "arguments": { "servers": [ "192.0.2.1" ] } }
//     { "command": "maintenance-get" }
//
// Servers in maintenance are skipped: the next server of the domain is tried. The list is empty at first
// and after each reconfiguration, unless the parameter "servers" fills it.
// The library runs in kea-dhcp-ddns and in pyd2. To compile it:
//
//     c++ -std=c++17 -O2 -fPIC -shared -I/usr/include/kea maintenance.cc -o maintenance.so
#include <asiolink/io_address.h>
#include <cc/command_interpreter.h>
#include <cc/data.h>
#include <d2srv/d2_config.h>
#include <exceptions/exceptions.h>
#include <hooks/hooks.h>

#include <set>
#include <string>

using isc::asiolink::IOAddress;
using isc::config::createAnswer;
using isc::d2::DnsServerInfoPtr;
using isc::data::ConstElementPtr;
using isc::data::Element;
using isc::data::ElementPtr;
using isc::hooks::CalloutHandle;
using isc::hooks::LibraryHandle;

namespace {

std::set<std::string> in_maintenance;

// Read a list of addresses; throws when it is none.
std::set<std::string> addresses(const ConstElementPtr& list) {
    std::set<std::string> read;
    for (const auto& item : list->listValue()) {
        read.insert(IOAddress(item->stringValue()).toText());
    }
    return read;
}

// Replace the list by the one of the command's arguments.
int maintenance_set(CalloutHandle& handle) {
    ConstElementPtr command;
    handle.getArgument("command", command);
    ConstElementPtr response;
    try {
        const ConstElementPtr arguments = command->get("arguments");
        if (!arguments || !arguments->get("servers")) {
            isc_throw(isc::BadValue, "they are missing");
        }
        in_maintenance = addresses(arguments->get("servers"));
        response = createAnswer(0, std::to_string(in_maintenance.size()) + " servers are in maintenance.");
    } catch (const std::exception& error) {
        response = createAnswer(1, std::string("'servers' must be a list of addresses: ") + error.what());
    }
    handle.setArgument("response", response);
    return 0;
}

// Answer with the list.
int maintenance_get(CalloutHandle& handle) {
    const ElementPtr list = Element::createList();
    for (const std::string& address : in_maintenance) {
        list->add(Element::create(address));
    }
    const ElementPtr arguments = Element::createMap();
    arguments->set("servers", list);
    const ConstElementPtr response = createAnswer(0, arguments);
    handle.setArgument("response", response);
    return 0;
}

}  // namespace

extern "C" {

int version() {
    return KEA_HOOKS_VERSION;
}

// Register the commands.
int load(LibraryHandle& handle) {
    const ConstElementPtr servers = handle.getParameter("servers");
    in_maintenance = servers ? addresses(servers) : std::set<std::string>();
    handle.registerCommandCallout("maintenance-set", maintenance_set);
    handle.registerCommandCallout("maintenance-get", maintenance_get);
    return 0;
}

// Skip a server in maintenance.
int select_key(CalloutHandle& handle) {
    DnsServerInfoPtr server;
    handle.getArgument("current_server", server);
    if (in_maintenance.count(server->getIpAddress().toText()) != 0) {
        handle.setStatus(CalloutHandle::NEXT_STEP_SKIP);
    }
    return 0;
}
}
