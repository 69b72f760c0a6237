#include "commands.h"

#include "kea_abi.h"
#include "slots.h"

#include <config/command_mgr.h>
#include <exceptions/exceptions.h>
#include <hooks/hooks_manager.h>
#include <hooks/server_hooks.h>

#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

using isc::config::BaseCommandMgr;
using isc::config::CommandMgr;
using isc::data::ConstElementPtr;
using isc::hooks::CalloutHandlePtr;
using isc::hooks::HooksManager;
using isc::hooks::ServerHooks;

namespace {

/* The handler of the server's own commands, for libraries that run them. */
struct ServerCommand {
    ConstElementPtr operator()(const std::string& name, const ConstElementPtr& arguments) const {
        const std::unique_ptr<kb_element> given(pyd2::wrap(arguments));
        kb_element* answer = nullptr;
        if (pyd2::callbacks().command == nullptr ||
            pyd2::callbacks().command(name.c_str(), given.get(), &answer) != 0) {
            isc_throw(isc::Unexpected, pyd2::Raised().what());
        }
        const std::unique_ptr<kb_element> made(answer);
        return pyd2::unwrap(answer);
    }
};

/* Access to protected members of Kea's CommandMgr: the handlers of commands, and running one. */
class Manager : public BaseCommandMgr {
public:
    static HandlerContainer& handlers() { return CommandMgr::instance().*&Manager::handlers_; }

    static ConstElementPtr answer(const std::string& name, const ConstElementPtr& request) {
        return (CommandMgr::instance().*&Manager::handleCommand)(name, request->get("arguments"), request);
    }
};

std::set<std::string> offered;

bool handled_by_library(const std::string& name) {
    const auto found = Manager::handlers().find(name);
    if (found == Manager::handlers().end()) {
        return false;
    }
    return name != "list-commands" && found->second.handler.target<ServerCommand>() == nullptr;
}

bool removed(const std::string& name) {
    return offered.count(name) > 0 && Manager::handlers().count(name) == 0;
}

void offer_all() {
    for (const std::string& name : offered) {
        if (removed(name)) {
            CommandMgr::instance().registerCommand(name, ServerCommand());
        }
    }
}

}  // namespace

namespace pyd2 {

void mend_commands() {
    auto& handlers = Manager::handlers();
    // Never destroyed: that would run code of the library, which may be unmapped.
    using Node = std::remove_reference_t<decltype(handlers)>::node_type;
    static auto& left = *new std::vector<Node>();
    for (auto entry = handlers.begin(); entry != handlers.end();) {
        const auto here = entry++;
        if (handled_by_library(here->first)) {
            left.push_back(handlers.extract(here));
        }
    }
    offer_all();
}

}  // namespace pyd2

int kb_commands_offer(const char* names) {
    return pyd2::guarded(-1, [&] {
        std::istringstream lines(names);
        for (std::string name; std::getline(lines, name);) {
            offered.insert(name);
        }
        offer_all();
        return 0;
    });
}

int kb_command_present(const char* name) {
    return pyd2::guarded(-1, [&] {
        return HooksManager::commandHandlersPresent(name) || handled_by_library(name) || removed(name) ? 1 : 0;
    });
}

char* kb_command_names(void) {
    return pyd2::guarded<char*>(nullptr, [] {
        std::set<std::string> names;
        for (const std::string& hook : ServerHooks::getServerHooks().getHookNames()) {
            const std::string name = ServerHooks::hookToCommandName(hook);
            if (!name.empty() && HooksManager::commandHandlersPresent(name)) {
                names.insert(name);
            }
        }
        for (const auto& entry : Manager::handlers()) {
            if (handled_by_library(entry.first)) {
                names.insert(entry.first);
            }
        }
        std::string text;
        for (const std::string& name : names) {
            text += name;
            text += '\n';
        }
        return pyd2::copy_text(text);
    });
}

int kb_command_run(const char* name, const kb_element* request, kb_element** response) {
    return pyd2::guarded(-1, [&] {
        *response = pyd2::wrap(Manager::answer(name, pyd2::unwrap(request)));
        return 0;
    });
}

int kb_command_processed(const char* name, const kb_element* arguments, kb_element** response) {
    return pyd2::guarded(-1, [&] {
        ConstElementPtr answer = pyd2::unwrap(*response);
        const int hook = ServerHooks::getServerHooks().findIndex("command_processed");
        if (HooksManager::calloutsPresent(hook)) {
            const CalloutHandlePtr handle = HooksManager::createCalloutHandle();
            handle->setArgument("name", std::string(name));
            handle->setArgument("arguments", pyd2::unwrap(arguments));
            handle->setArgument("response", answer);
            HooksManager::callCallouts(hook, *handle);
            handle->getArgument("response", answer);
        }
        *response = pyd2::wrap(answer);
        return 0;
    });
}
