// Write down each selection of a server: when, which server, which key, and what the libraries decided.
//
//     "hooks-libraries": [
//         ...
//         { "library": "audit.so", "parameters": { "file": "/var/log/kea/audit.log" } }
//     ]
//
// Put it last: it sees what the libraries before it decided.
// The library runs in kea-dhcp-ddns and in pyd2. To compile it:
//
//     c++ -std=c++17 -O2 -fPIC -shared -I/usr/include/kea audit.cc -o audit.so
#include <d2srv/d2_config.h>
#include <d2srv/d2_tsig_key.h>
#include <exceptions/exceptions.h>
#include <hooks/hooks.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>

using isc::d2::D2TsigKeyPtr;
using isc::d2::DnsServerInfoPtr;
using isc::data::ConstElementPtr;
using isc::hooks::CalloutHandle;
using isc::hooks::LibraryHandle;

namespace {

std::ofstream file;
const char* const statuses[] = {"CONTINUE", "SKIP", "DROP", "PARK"};

// The time in UTC, to the millisecond.
std::string now() {
    const auto time = std::chrono::system_clock::now();
    const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
    const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
    std::tm parts = {};
    gmtime_r(&seconds, &parts);
    char text[32];
    const size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    const std::string millis = std::to_string(1000 + since.count() % 1000).substr(1);
    return std::string(text, size) + "." + millis + "+00:00";
}

}  // namespace

extern "C" {

int version() {
    return KEA_HOOKS_VERSION;
}

// Open the file; a file that cannot be opened refuses the configuration.
int load(LibraryHandle& handle) {
    const ConstElementPtr path = handle.getParameter("file");
    if (!path) {
        isc_throw(isc::BadValue, "the parameter file is missing");
    }
    file.open(path->stringValue(), std::ios::app);
    if (!file) {
        isc_throw(isc::BadValue, "cannot open " << path->stringValue() << ": " << std::strerror(errno));
    }
    return 0;
}

int unload() {
    file.close();
    return 0;
}

// Write the line; it is on its way to the disk before the update leaves.
int select_key(CalloutHandle& handle) {
    DnsServerInfoPtr server;
    handle.getArgument("current_server", server);
    D2TsigKeyPtr key;
    handle.getArgument("tsig_key", key);
    file << now() << " " << server->getIpAddress().toText() << "#" << server->getPort() << " "
         << (key ? key->getKeyName().toText() : "unsigned") << " " << statuses[handle.getStatus()] << std::endl;
    return 0;
}
}
