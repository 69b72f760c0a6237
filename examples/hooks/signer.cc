// Sign with your own code: a key whose context is a class of this library.
//
// The updates to all servers are signed with a key whose secret is read from a file for each of them, so that
// another program can change it at any time. This is also the place to sign with hardware or by GSS-TSIG.
//
//     "hooks-libraries": [ {
//         "library": "signer.so",
//         "parameters": { "name": "rolling.", "algorithm": "hmac-sha256", "secret-file": "/run/d2/secret" }
//     } ]
//
// The file holds the secret itself, not its base64 text; without it no update is sent.
// The library runs in kea-dhcp-ddns and in pyd2. To compile it:
//
//     c++ -std=c++17 -O2 -fPIC -shared -I/usr/include/kea signer.cc -o signer.so
#include <cc/data.h>
#include <d2srv/d2_config.h>
#include <d2srv/d2_tsig_key.h>
#include <dns/name.h>
#include <dns/tsig.h>
#include <exceptions/exceptions.h>
#include <hooks/hooks.h>

#include <fstream>
#include <iterator>
#include <string>

using isc::d2::D2TsigKey;
using isc::d2::D2TsigKeyPtr;
using isc::data::ConstElementPtr;
using isc::dns::ConstTSIGRecordPtr;
using isc::dns::Name;
using isc::dns::TSIGContext;
using isc::dns::TSIGContextPtr;
using isc::dns::TSIGError;
using isc::dns::TSIGKey;
using isc::dns::TSIGRecord;
using isc::hooks::CalloutHandle;
using isc::hooks::LibraryHandle;

namespace {

// The signing of one update and the verification of its reply. Your own code goes into sign() and verify();
// here they do what Kea does.
class SigningContext : public TSIGContext {
public:
    explicit SigningContext(const TSIGKey& key) : TSIGContext(key) {}

    ConstTSIGRecordPtr sign(const uint16_t query_id, const void* const data, const size_t length) override {
        return TSIGContext::sign(query_id, data, length);
    }

    TSIGError verify(const TSIGRecord* const record, const void* const data, const size_t length) override {
        return TSIGContext::verify(record, data, length);
    }
};

// The key: it makes a context for each update.
class RollingKey : public D2TsigKey {
public:
    RollingKey(const Name& name, const Name& algorithm, const std::string& path)
        : D2TsigKey(name, algorithm, nullptr, 0), path_(path) {}

    TSIGContextPtr createContext() override {
        std::ifstream file(path_, std::ios::binary);
        const std::string secret((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        if (secret.empty()) {
            isc_throw(isc::Unexpected, "there is no secret in " << path_);
        }
        return TSIGContextPtr(
            new SigningContext(TSIGKey(getKeyName(), getAlgorithmName(), secret.data(), secret.size())));
    }

private:
    const std::string path_;
};

D2TsigKeyPtr key;

std::string parameter(LibraryHandle& handle, const std::string& name) {
    const ConstElementPtr value = handle.getParameter(name);
    if (!value) {
        isc_throw(isc::BadValue, "the parameter " << name << " is missing");
    }
    return value->stringValue();
}

}  // namespace

extern "C" {

int version() {
    return KEA_HOOKS_VERSION;
}

// Make the key.
int load(LibraryHandle& handle) {
    key.reset(new RollingKey(Name(parameter(handle, "name")), Name(parameter(handle, "algorithm")),
                             parameter(handle, "secret-file")));
    return 0;
}

int unload() {
    key.reset();
    return 0;
}

// Use it for every server.
int select_key(CalloutHandle& handle) {
    handle.setArgument("tsig_key", key);
    return 0;
}
}
