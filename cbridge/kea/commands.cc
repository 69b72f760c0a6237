#include "commands.h"

#include "kea_abi.h"

#include <hooks/hooks_manager.h>
#include <hooks/server_hooks.h>

#include <set>
#include <string>

using isc::data::ConstElementPtr;
using isc::hooks::CalloutHandlePtr;
using isc::hooks::HooksManager;
using isc::hooks::ServerHooks;

int kb_command_present(const char* name) {
    return pyd2::guarded(-1, [&] { return HooksManager::commandHandlersPresent(name) ? 1 : 0; });
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
        ConstElementPtr answer;
        {
            const CalloutHandlePtr handle = HooksManager::createCalloutHandle();
            // As Kea does for commands, and for no other point: what context_create's callouts made up goes.
            handle->deleteAllArguments();
            handle->setArgument("command", pyd2::unwrap(request));
            handle->setArgument("response", answer);
            HooksManager::callCommandHandlers(name, *handle);
            handle->getArgument("response", answer);
        }
        *response = pyd2::wrap(answer);
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
