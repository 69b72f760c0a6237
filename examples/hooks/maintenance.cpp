// Take DNS servers out of service for a while, with a command of the control channel.
//
//     { "command": "maintenance-set", "arguments": { "servers": [ "192.0.2.1" ] } }
//     { "command": "maintenance-get" }
//
// Servers in maintenance are skipped: the next server of the domain is tried. The list is empty at first
// and after each reconfiguration, unless the parameter "servers" fills it.
//
// This is C++ that knows nothing of Kea: maintenance.cc is the same library on Kea's interface. To compile it:
//
//     c++ -std=c++17 -O2 -fPIC -shared maintenance.cpp -o maintenance.so
#include <arpa/inet.h>

#include <exception>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>

#include "pyd2_hook.h"

PYD2_HOOK_DEFINE_VERSION

namespace {

pyd2_hook_text text_of(const std::string& text) { return {text.data(), text.size()}; }
std::string string_of(pyd2_hook_text text) { return {text.data, text.length}; }

class Maintenance {
public:
    Maintenance(const pyd2_hook_api* api, pyd2_hook_library* library) : api_(api), library_(library) {}

    void load() {
        const pyd2_hook_json* parameters;
        int type;
        check(api_->parameters(library_, &parameters));
        if (api_->json_type(parameters, text_of("/servers"), &type) == PYD2_HOOK_OK)
            servers_ = addresses(parameters, "/servers");
        check(api_->register_callout(library_, text_of("select_key"), run<&Maintenance::select_key>, this));
        check(api_->register_command(library_, text_of("maintenance-set"), run<&Maintenance::set>, this));
        check(api_->register_command(library_, text_of("maintenance-get"), run<&Maintenance::get>, this));
    }

    void log(const std::string& text) { api_->log(library_, PYD2_HOOK_ERROR, text_of(text)); }

private:
    // pyd2 calls this function: no exception may leave it.
    template <void (Maintenance::*function)(pyd2_hook_callout*)>
    static int run(pyd2_hook_callout* callout, void* self) noexcept {
        auto* maintenance = static_cast<Maintenance*>(self);
        try {
            (maintenance->*function)(callout);
            return 0;
        } catch (const std::exception& error) {
            maintenance->log(error.what());
        } catch (...) {
        }
        return 1;
    }

    void select_key(pyd2_hook_callout* callout) {
        const pyd2_hook_server* server;
        pyd2_hook_text address;
        check(api_->current_server(callout, &server));
        check(api_->server_address(server, &address));
        if (servers_.count(string_of(address)) != 0)
            check(api_->set_status(callout, PYD2_HOOK_SKIP));
    }

    void set(pyd2_hook_callout* callout) {
        const pyd2_hook_json* command;
        check(api_->argument_json(callout, text_of("command"), &command));
        try {
            servers_ = addresses(command, "/arguments/servers");
        } catch (const std::exception& error) {
            answer(callout, 1, std::string("'servers' must be a list of addresses: ") + error.what());
            return;
        }
        answer(callout, 0, std::to_string(servers_.size()) + " servers are in maintenance.");
    }

    void get(pyd2_hook_callout* callout) {
        std::string list;
        for (const auto& server : servers_)
            list += (list.empty() ? "\"" : ", \"") + server + "\"";
        respond(callout, R"({ "result": 0, "arguments": { "servers": [ )" + list + " ] } }");
    }

    // Read a list of addresses, each in its usual form; throws when it is none.
    std::set<std::string> addresses(const pyd2_hook_json* json, const std::string& pointer) const {
        std::set<std::string> read;
        std::size_t count;
        check(api_->json_count(json, text_of(pointer), &count));
        for (std::size_t i = 0; i < count; i++) {
            pyd2_hook_text text;
            check(api_->json_text(json, text_of(pointer + "/" + std::to_string(i)), &text));
            read.insert(normal(string_of(text)));
        }
        return read;
    }

    static std::string normal(const std::string& address) {
        unsigned char octets[16];
        char text[INET6_ADDRSTRLEN];
        for (int family : {AF_INET, AF_INET6})
            if (inet_pton(family, address.c_str(), octets) == 1)
                return inet_ntop(family, octets, text, sizeof text);
        throw std::invalid_argument("'" + address + "' is no address");
    }

    void answer(pyd2_hook_callout* callout, int result, const std::string& text) const {
        pyd2_hook_text quoted;
        check(api_->json_quote(text_of(text), &quoted));
        respond(callout, "{ \"result\": " + std::to_string(result) + ", \"text\": " + string_of(quoted) + " }");
    }

    void respond(pyd2_hook_callout* callout, const std::string& json) const {
        check(api_->set_argument_json(callout, text_of("response"), text_of(json)));
    }

    void check(int code) const {
        if (code != PYD2_HOOK_OK)
            throw std::runtime_error(api_->last_error());
    }

    const pyd2_hook_api* api_;
    pyd2_hook_library* library_;
    std::set<std::string> servers_;
};

}  // namespace

int pyd2_hook_load(const pyd2_hook_api* api, pyd2_hook_library* library, void** state) {
    if (!pyd2_hook_fits(api))
        return 2;
    try {
        auto maintenance = std::make_unique<Maintenance>(api, library);
        *state = maintenance.get();
        maintenance.release()->load();
        return 0;
    } catch (const std::exception& error) {
        api->log(library, PYD2_HOOK_ERROR, pyd2_hook_string(error.what()));
        return 1;
    } catch (...) {
        return 1;
    }
}

int pyd2_hook_unload(void* state) {
    delete static_cast<Maintenance*>(state);
    return 0;
}
