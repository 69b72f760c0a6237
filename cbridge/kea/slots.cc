#include "slots.h"

#include "kea_abi.h"

#include <hooks/callout_handle.h>
#include <hooks/library_handle.h>
#include <hooks/server_hooks.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

using isc::hooks::CalloutHandle;
using isc::hooks::CalloutPtr;
using isc::hooks::LibraryHandle;
using isc::hooks::ServerHooks;

namespace {

kb_callbacks python = {};
std::string raised_text;

std::vector<int> to_load;  /* the slots of the list to load */
size_t next = 0;           /* the first of these that is not loaded yet */
std::vector<int> loaded;   /* the loaded slots, unloaded from the end */

LibraryHandle& library_of(kb_library* library) {
    return *reinterpret_cast<LibraryHandle*>(library);
}

/* Return the result of a callback as Kea expects it of a library, or throw. */
int result_of(int returned) {
    if (returned == KB_RAISED) {
        throw pyd2::Raised();
    }
    return returned;
}

/* To Kea, callouts of one library on one hook differ by address: so there is one function for each number. */
template <int Number>
int trampoline(CalloutHandle& handle) {
    return result_of(python.callout(handle.getCurrentLibrary(), handle.getCurrentHook(), Number,
                                    reinterpret_cast<kb_handle*>(&handle)));
}

template <int... Numbers>
std::array<CalloutPtr, sizeof...(Numbers)> make_trampolines(std::integer_sequence<int, Numbers...>) {
    return {{trampoline<Numbers>...}};
}

const auto trampolines = make_trampolines(std::make_integer_sequence<int, KB_MOST_CALLOUTS>());

}  // namespace

namespace pyd2 {

const kb_callbacks& callbacks() {
    return python;
}

void set_callbacks(const kb_callbacks& callbacks) {
    python = callbacks;
}

void set_slots(std::vector<int> slots) {
    to_load = std::move(slots);
    next = 0;
}

Raised::Raised() : std::runtime_error(raised_text) {}

Reference::~Reference() {
    if (id_ > 0 && python.released != nullptr) {
        python.released(id_);
    }
}

}  // namespace pyd2

/* What Kea calls in the extension module when it loads it as a hook library. */
extern "C" {
#define PYD2_EXPORT __attribute__((visibility("default")))
PYD2_EXPORT int version();
PYD2_EXPORT int load(LibraryHandle& handle);
PYD2_EXPORT int unload();
PYD2_EXPORT int multi_threading_compatible();
}

int version() {
    if (next >= to_load.size()) {
        return KEA_HOOKS_VERSION;
    }
    return result_of(python.version(to_load.at(next)));
}

int load(LibraryHandle& handle) {
    if (next >= to_load.size()) {
        return 1;
    }
    const int slot = to_load.at(next++);
    loaded.push_back(slot);
    return result_of(python.load(slot, reinterpret_cast<kb_library*>(&handle)));
}

int unload() {
    if (loaded.empty()) {
        return 0;
    }
    const int slot = loaded.back();
    loaded.pop_back();
    return result_of(python.unload(slot));
}

int multi_threading_compatible() {
    return 1;
}

void kb_raise(const char* text) {
    pyd2::guarded(0, [&] {
        raised_text = text;
        return 0;
    });
}

int kb_library_register(kb_library* library, const char* hook, int number) {
    return pyd2::guarded(-1, [&] {
        library_of(library).registerCallout(hook, trampolines.at(static_cast<size_t>(number)));
        return 0;
    });
}

int kb_library_register_command(kb_library* library, const char* command, int number) {
    return pyd2::guarded(-1, [&] {
        library_of(library).registerCommandCallout(command, trampolines.at(static_cast<size_t>(number)));
        return 0;
    });
}

int kb_library_deregister(kb_library* library, const char* hook, int number) {
    return pyd2::guarded(-1, [&] {
        const CalloutPtr callout = trampolines.at(static_cast<size_t>(number));
        return library_of(library).deregisterCallout(hook, callout) ? 1 : 0;
    });
}

int kb_library_deregister_all(kb_library* library, const char* hook) {
    return pyd2::guarded(-1, [&] { return library_of(library).deregisterAllCallouts(hook) ? 1 : 0; });
}

uintptr_t kb_callout_address(int number) {
    return reinterpret_cast<uintptr_t>(trampolines.at(static_cast<size_t>(number)));
}

int kb_hook_number(const char* name) {
    return pyd2::guarded(-1, [&] { return ServerHooks::getServerHooks().findIndex(name); });
}

char* kb_hook_names(void) {
    return pyd2::guarded<char*>(nullptr, [] {
        std::vector<std::string> names = ServerHooks::getServerHooks().getHookNames();
        std::sort(names.begin(), names.end());
        std::string text;
        for (const std::string& name : names) {
            text += name;
            text += '\n';
        }
        return pyd2::copy_text(text);
    });
}
