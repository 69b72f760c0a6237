/* The part of slots.h that reads and sets the members of a callout's handle. */
#include "slots.h"

#include "http.h"
#include "kea_abi.h"

#include <boost/any.hpp>
#include <exceptions/exceptions.h>
#include <hooks/callout_handle.h>

#include <string>

using isc::d2::D2CfgContextPtr;
using isc::d2::D2TsigKeyPtr;
using isc::d2::DnsServerInfoPtr;
using isc::data::ConstElementPtr;
using isc::data::ElementPtr;
using isc::hooks::CalloutHandle;
using pyd2::Reference;

namespace {

using ReferencePtr = boost::shared_ptr<const Reference>;

const char* const context_name = "pyd2";

CalloutHandle& handle_of(kb_handle* handle) {
    return *reinterpret_cast<CalloutHandle*>(handle);
}

/* Read an argument of a known type into `read`; false when its type is another. Throws NoSuchArgument. */
template <typename Type>
bool read_as(CalloutHandle& handle, const char* name, Type& read) {
    try {
        handle.getArgument(name, read);
    } catch (const boost::bad_any_cast&) {
        return false;
    }
    return true;
}

template <typename Pointer>
int64_t identity(const Pointer& pointer) {
    return static_cast<int64_t>(reinterpret_cast<intptr_t>(pointer.get()));
}

bool read_text(CalloutHandle& handle, const char* name, kb_value& value) {
    std::string text;
    if (!read_as(handle, name, text)) {
        return false;
    }
    value.kind = KB_TEXT;
    value.size = text.size();
    value.text = pyd2::copy_text(text);
    return true;
}

bool read_element(CalloutHandle& handle, const char* name, kb_value& value) {
    ConstElementPtr element;
    if (!read_as(handle, name, element)) {
        // A callout in C++ may have set the other kind of pointer.
        ElementPtr writable;
        if (!read_as(handle, name, writable)) {
            return false;
        }
        element = writable;
    }
    value.kind = element ? KB_JSON : KB_NOTHING;
    value.element = pyd2::wrap(element);
    return true;
}

bool read_http(CalloutHandle& handle, const char* name, kb_value& value) {
    ConstElementPtr map;
    if (!pyd2::read_http(handle, name, map)) {
        return false;
    }
    value.kind = map ? KB_JSON : KB_NOTHING;
    value.element = pyd2::wrap(map);
    return true;
}

bool read_python(CalloutHandle& handle, const char* name, kb_value& value) {
    ReferencePtr reference;
    if (!read_as(handle, name, reference)) {
        return false;
    }
    value.kind = KB_PYTHON;
    value.number = reference->id();
    return true;
}

template <typename Pointer>
bool read_object(CalloutHandle& handle, const char* name, int kind, kb_value& value) {
    Pointer pointer;
    if (!read_as(handle, name, pointer)) {
        return false;
    }
    value.kind = pointer ? kind : KB_NOTHING;
    value.number = identity(pointer);
    return true;
}

template <typename Number>
bool read_number(CalloutHandle& handle, const char* name, kb_value& value) {
    Number number;
    if (!read_as(handle, name, number)) {
        return false;
    }
    value.kind = KB_NUMBER;
    value.number = static_cast<int64_t>(number);
    return true;
}

bool read_kind(CalloutHandle& handle, const char* name, int kind, kb_value& value) {
    switch (kind) {
    case KB_TEXT:
        return read_text(handle, name, value);
    case KB_JSON:
        return read_element(handle, name, value);
    case KB_HTTP_REQUEST:
    case KB_HTTP_RESPONSE:
        return read_http(handle, name, value);
    case KB_KEY:
        return read_object<D2TsigKeyPtr>(handle, name, KB_KEY, value);
    case KB_PYTHON:
        return read_python(handle, name, value);
    case KB_SERVER:
        return read_object<DnsServerInfoPtr>(handle, name, KB_SERVER, value);
    case KB_CONFIG:
        return read_object<D2CfgContextPtr>(handle, name, KB_CONFIG, value);
    case KB_SERVICE:
        return read_object<isc::asiolink::IOServicePtr>(handle, name, KB_SERVICE, value);
    case KB_NUMBER:
        return read_number<int>(handle, name, value) || read_number<int64_t>(handle, name, value) ||
               read_number<bool>(handle, name, value) || read_number<uint32_t>(handle, name, value);
    default:
        return false;
    }
}

}  // namespace

int kb_handle_get(kb_handle* raw, const char* name, int kind, kb_value* value) {
    return pyd2::guarded(-1, [&] {
        CalloutHandle& handle = handle_of(raw);
        *value = kb_value();
        if (kind != KB_ANY && read_kind(handle, name, kind, *value)) {
            return 0;
        }
        for (const int other : {KB_PYTHON, KB_TEXT, KB_JSON, KB_NUMBER, KB_KEY, KB_SERVER, KB_CONFIG,
                                KB_SERVICE, KB_HTTP_REQUEST}) {
            if (other != kind && read_kind(handle, name, other, *value)) {
                return 0;
            }
        }
        value->kind = KB_FOREIGN;
        return 0;
    });
}

kb_key* kb_handle_key(kb_handle* handle, const char* name) {
    return pyd2::guarded<kb_key*>(nullptr, [&] {
        D2TsigKeyPtr key;
        handle_of(handle).getArgument(name, key);
        return pyd2::wrap(key);
    });
}

int kb_handle_set_text(kb_handle* handle, const char* name, const char* text, size_t size) {
    return pyd2::guarded(-1, [&] {
        handle_of(handle).setArgument(name, std::string(text, size));
        return 0;
    });
}

int kb_handle_set_element(kb_handle* handle, const char* name, const kb_element* element) {
    return pyd2::guarded(-1, [&] {
        handle_of(handle).setArgument(name, pyd2::unwrap(element));
        return 0;
    });
}

int kb_handle_set_key(kb_handle* handle, const char* name, const kb_key* key) {
    return pyd2::guarded(-1, [&] {
        handle_of(handle).setArgument(name, key != nullptr ? key->value : D2TsigKeyPtr());
        return 0;
    });
}

int kb_handle_set_python(kb_handle* handle, const char* name, int64_t reference) {
    return pyd2::guarded(-1, [&] {
        handle_of(handle).setArgument(name, ReferencePtr(new Reference(reference)));
        return 0;
    });
}

int kb_handle_set_http(kb_handle* handle, const char* name, int kind, const kb_element* map) {
    return pyd2::guarded(-1, [&] {
        const auto set = kind == KB_HTTP_REQUEST ? pyd2::set_http_request : pyd2::set_http_response;
        set(handle_of(handle), name, pyd2::unwrap(map));
        return 0;
    });
}

char* kb_handle_names(kb_handle* handle) {
    return pyd2::guarded<char*>(nullptr, [&] {
        std::string names;
        for (const std::string& name : handle_of(handle).getArgumentNames()) {
            names += name;
            names += '\n';
        }
        return pyd2::copy_text(names);
    });
}

int kb_handle_status(const kb_handle* handle) {
    return reinterpret_cast<const CalloutHandle*>(handle)->getStatus();
}

void kb_handle_set_status(kb_handle* handle, int status) {
    handle_of(handle).setStatus(static_cast<CalloutHandle::CalloutNextStep>(status));
}

int64_t kb_handle_context(kb_handle* handle) {
    return pyd2::guarded<int64_t>(0, [&]() -> int64_t {
        ReferencePtr kept;
        handle_of(handle).getOptionalContext(context_name, kept);
        return kept ? kept->id() : 0;
    });
}

int kb_handle_set_context(kb_handle* handle, int64_t reference) {
    return pyd2::guarded(-1, [&] {
        handle_of(handle).setContext(context_name, ReferencePtr(new Reference(reference)));
        return 0;
    });
}
