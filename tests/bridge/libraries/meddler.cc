// A hook library for the tests, compiled against Kea alone, that does what few do: it changes the configuration
// that it is told of, and registers, replaces, removes and runs commands in Kea's CommandMgr.
#include <cc/command_interpreter.h>
#include <cc/data.h>
#include <config/command_mgr.h>
#include <d2srv/d2_cfg_mgr.h>
#include <hooks/hooks.h>

#include <algorithm>
#include <string>

using namespace isc;
using config::CommandMgr;
using data::ConstElementPtr;
using data::Element;
using data::ElementPtr;
using hooks::CalloutHandle;
using hooks::LibraryHandle;

namespace {

ConstElementPtr parameters;

std::string text_of(const std::string& member) {
    const ConstElementPtr value = parameters->get(member);
    return value ? value->stringValue() : std::string();
}

ConstElementPtr answer(const std::string& name, const ConstElementPtr& arguments) {
    if (arguments && arguments->getType() == Element::map && arguments->get("throw")) {
        isc_throw(Unexpected, name << " was told to throw");
    }
    return config::createAnswer(0, "meddler " + name, arguments);
}

}  // namespace

extern "C" {

int version() {
    return KEA_HOOKS_VERSION;
}

int d2_srv_configured(CalloutHandle& handle) {
    d2::D2CfgContextPtr config;
    handle.getArgument("server_config", config);
    const std::string how = text_of("configured");
    if (how == "change") {
        const d2::D2Params& old = *config->getD2Params();
        config->getD2Params().reset(new d2::D2Params(
            old.getIpAddress(), old.getPort(), 4321, old.getNcrProtocol(), old.getNcrFormat()));
        for (const auto& domain : *config->getForwardMgr()->getDomains()) {
            // The other way round: the last server first; and now the second has the key.
            std::reverse(domain.second->getServers()->begin(), domain.second->getServers()->end());
        }
    } else if (how == "spoil") {
        for (const auto& domain : *config->getForwardMgr()->getDomains()) {
            domain.second->getServers()->clear();
        }
    }
    return 0;
}

int run(CalloutHandle& handle) {
    ConstElementPtr command;
    handle.getArgument("command", command);
    handle.setArgument("response", CommandMgr::instance().processCommand(command->get("arguments")));
    return 0;
}

int load(LibraryHandle& handle) {
    parameters = handle.getParameters();
    handle.registerCommandCallout("meddler-run", run);
    if (!text_of("remove").empty()) {
        CommandMgr::instance().deregisterCommand(text_of("remove"));
    }
    if (!text_of("register").empty()) {
        CommandMgr::instance().registerCommand(text_of("register"), answer);
    }
    return 0;
}

int unload() {
    if (!text_of("register").empty() && text_of("keep").empty()) {
        CommandMgr::instance().deregisterCommand(text_of("register"));
    }
    parameters.reset();
    return 0;
}
}
