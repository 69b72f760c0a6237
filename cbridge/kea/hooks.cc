#include "hooks.h"

#include "commands.h"
#include "generation.h"
#include "io.h"
#include "kea_abi.h"
#include "logging.h"

#include <boost/date_time/posix_time/posix_time.hpp>
#include <d2srv/d2_stats.h>
#include <exceptions/exceptions.h>
#include <hooks/hooks_manager.h>
#include <hooks/server_hooks.h>
#include <log/logger_support.h>
#include <process/daemon.h>

#include <dlfcn.h>
#include <link.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

using isc::d2::D2TsigKeyPtr;
using isc::data::ConstElementPtr;
using isc::data::ElementPtr;
using isc::hooks::CalloutHandle;
using isc::hooks::CalloutHandlePtr;
using isc::hooks::HooksManager;
using isc::hooks::ServerHooks;

namespace {

const char* const process_name = "kea-dhcp-ddns";
const char* const loggers_path = "shown/DhcpDdns/loggers";

int select_key_hook = -1;
int configured_hook = -1;

/* The other key of the last select_key. The caller knows most keys by their identity and asks for few. */
D2TsigKeyPtr selected;

/* The use of hooks of d2_srv_configured, until kb_configured_end(). */
CalloutHandlePtr configuring;

int find_kea_library(dl_phdr_info* info, size_t, void* found) {
    const char* name = info->dlpi_name != nullptr ? std::strrchr(info->dlpi_name, '/') : nullptr;
    if (name != nullptr && std::strncmp(name, "/libkea-", 8) == 0) {
        static_cast<std::vector<std::string>*>(found)->push_back(info->dlpi_name);
    }
    return 0;
}

/* The paths of Kea's loaded libraries. */
std::vector<std::string> kea_libraries() {
    std::vector<std::string> paths;
    dl_iterate_phdr(find_kea_library, &paths);
    return paths;
}

/* Make Kea's symbols global, as in Kea's server: hook libraries linked without Kea's libraries need them. */
void make_kea_global() {
    for (const std::string& path : kea_libraries()) {
        if (dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD) == nullptr) {
            isc_throw(isc::Unexpected, dlerror());
        }
    }
}

}  // namespace

int kb_start(const kb_callbacks* callbacks) {
    return pyd2::guarded(-1, [&] {
        pyd2::set_callbacks(*callbacks);
        isc::process::Daemon::setProcName(process_name);
        isc::process::Daemon::setDefaultLoggerName(process_name);
        pyd2::start_logging(process_name);
        make_kea_global();
        // Those of Kea's libraries and of the server's program; a registered name keeps its number.
        select_key_hook = HooksManager::registerHook("select_key");
        configured_hook = HooksManager::registerHook("d2_srv_configured");
        static_cast<void>(HooksManager::registerHook("command_processed"));
        isc::d2::D2Stats::init();
        return 0;
    });
}

void kb_stop(void) {
    pyd2::set_callbacks(kb_callbacks());
}

int kb_hooks_version(void) {
    return KEA_HOOKS_VERSION;
}

char* kb_runs_with(void) {
    return pyd2::guarded<char*>(nullptr, [] {
        return pyd2::copy_text(isc::detail::getConfigReport());
    });
}

char* kb_kea_libraries(void) {
    return pyd2::guarded<char*>(nullptr, [] {
        std::string text;
        for (const std::string& path : kea_libraries()) {
            text += path;
            text += '\n';
        }
        return pyd2::copy_text(text);
    });
}

char* kb_module_path(void) {
    return pyd2::guarded<char*>(nullptr, [] {
        Dl_info info;
        if (dladdr(reinterpret_cast<void*>(&kb_module_path), &info) == 0) {
            isc_throw(isc::Unexpected, "the path of the bridge cannot be found");
        }
        return pyd2::copy_text(info.dli_fname);
    });
}

int kb_check_library(const char* path) {
    return pyd2::guarded(-1, [&] {
        return HooksManager::validateLibraries({std::string(path)}, false).empty() ? 1 : 0;
    });
}

int kb_load(const kb_entry* entries, size_t count) {
    return pyd2::guarded(-1, [&] {
        isc::hooks::HookLibsCollection libraries;
        std::vector<int> slots;
        std::vector<std::string> compiled;
        for (size_t index = 0; index < count; ++index) {
            const kb_entry& entry = entries[index];
            libraries.emplace_back(entry.path, pyd2::unwrap(entry.parameters));
            if (entry.slot != 0) {
                slots.push_back(static_cast<int>(index) + 1);
            } else {
                compiled.push_back(entry.path);
            }
        }
        pyd2::set_slots(slots);
        const bool good = HooksManager::loadLibraries(libraries, false);
        pyd2::set_slots({});
        if (!good) {
            pyd2::mend_commands();
            pyd2::clear_services();
            return 1;
        }
        pyd2::set_generation(std::make_shared<const pyd2::Generation>(compiled));
        return 0;
    });
}

int kb_unload(void) {
    return pyd2::guarded(-1, [] {
        selected.reset();
        HooksManager::prepareUnloadLibraries();
        pyd2::mend_commands();
        const bool gone = HooksManager::unloadLibraries();
        // As in Kea, after the unload functions, in which libraries unregister their own. What they leave is
        // destroyed while their code is still mapped.
        pyd2::clear_services();
        pyd2::set_generation(nullptr);
        return gone ? 0 : 1;
    });
}

int kb_callouts_present(const char* hook) {
    return pyd2::guarded(-1, [&] {
        const int number = ServerHooks::getServerHooks().findIndex(hook);
        return number >= 0 && HooksManager::calloutsPresent(number) ? 1 : 0;
    });
}

int kb_select_key(const kb_server* server, const kb_key* key, uintptr_t* other) {
    return pyd2::guarded(-1, [&]() -> int {
        selected.reset();
        if (!HooksManager::calloutsPresent(select_key_hook)) {
            return KB_AS_GIVEN;
        }
        const D2TsigKeyPtr given = key != nullptr ? key->value : D2TsigKeyPtr();
        D2TsigKeyPtr chosen;
        {
            const CalloutHandlePtr handle = HooksManager::createCalloutHandle();
            handle->setArgument("current_server", server->value);
            handle->setArgument("tsig_key", given);
            HooksManager::callCallouts(select_key_hook, *handle);
            if (handle->getStatus() != CalloutHandle::NEXT_STEP_CONTINUE) {
                return KB_SKIP;
            }
            handle->getArgument("tsig_key", chosen);
        }
        if (chosen == given) {
            return KB_AS_GIVEN;
        }
        *other = pyd2::identity_of(chosen);
        selected = chosen;
        return KB_OTHER_KEY;
    });
}

kb_key* kb_selected_key(void) {
    return pyd2::guarded<kb_key*>(nullptr, [] { return pyd2::wrap(selected); });
}

void kb_selection_end(void) {
    pyd2::guarded(0, [] {
        selected.reset();
        return 0;
    });
}

int kb_configured(const kb_element* dhcp_ddns, const kb_config* config, int* status, char** error,
                  kb_element** changed) {
    return pyd2::guarded(-1, [&] {
        *status = CalloutHandle::NEXT_STEP_CONTINUE;
        *changed = nullptr;
        std::string text;
        config->value->setLastCommitTime(boost::posix_time::second_clock::universal_time());
        if (HooksManager::calloutsPresent(configured_hook)) {
            const ConstElementPtr before = pyd2::describe(*config->value);
            const CalloutHandlePtr handle = configuring = HooksManager::createCalloutHandle();
            handle->setArgument("io_context", pyd2::main_service());
            handle->setArgument("json_config", pyd2::unwrap(dhcp_ddns));
            handle->setArgument("server_config", config->value);
            handle->setArgument("error", text);
            HooksManager::callCallouts(configured_hook, *handle);
            *status = handle->getStatus();
            handle->getArgument("error", text);
            const ElementPtr after = pyd2::describe(*config->value);
            if (!after->equals(*before)) {
                const ConstElementPtr given = before->find(loggers_path);
                const ConstElementPtr loggers = after->find(loggers_path);
                if (loggers && !(given && loggers->equals(*given))) {
                    after->set("loggers", loggers);
                }
                *changed = pyd2::wrap(after);
            }
        }
        *error = pyd2::copy_text(text);
        return 0;
    });
}

void kb_configured_end(void) {
    pyd2::guarded(0, [] {
        configuring.reset();
        return 0;
    });
}
