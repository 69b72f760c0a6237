// A hook library for the tests, compiled against Kea alone: keys of every kind, and keys whose contexts log each
// call and fail on request. The command `signers-set` says how the next update is signed.
#include <asiolink/io_address.h>
#include <cc/command_interpreter.h>
#include <cc/data.h>
#include <d2srv/d2_cfg_mgr.h>
#include <d2srv/d2_tsig_key.h>
#include <dns/tsig.h>
#include <exceptions/exceptions.h>

#include <functional>
#include <map>
#include <stdexcept>
#include <string>

#define MESSAGE_ID "PROBE_SIGNS"
#define LOGGER "signers"
#include "says.h"

using namespace isc;
using d2::D2CfgContextPtr;
using d2::D2TsigKey;
using d2::D2TsigKeyPtr;
using d2::DnsServerInfo;
using d2::DnsServerInfoPtr;
using data::ConstElementPtr;
using dns::Name;
using dns::TSIGContext;
using dns::TSIGContextPtr;
using dns::TSIGError;
using dns::TSIGKey;
using hooks::CalloutHandle;
using hooks::LibraryHandle;

namespace {

const char secret[] = "0123456789abcdef";
const size_t secret_size = 16;
const char* const own = "own.:MDEyMzQ1Njc4OWFiY2RlZg==:hmac-sha256";

std::string mode = "none";
D2CfgContextPtr config_seen;
D2TsigKeyPtr kept;

class TellingContext : public TSIGContext {
public:
    explicit TellingContext(const TSIGKey& key) : TSIGContext(key), mode_(mode) { say("begin", mode_); }
    ~TellingContext() override { say("end", mode_); }

    dns::ConstTSIGRecordPtr sign(const uint16_t id, const void* const data, const size_t size) override {
        say("sign", mode_);
        if (mode_ == "sign-throws") {
            isc_throw(Unexpected, "cannot sign");
        }
        if (mode_ == "sign-throws-std") {
            throw std::runtime_error("cannot sign at all");
        }
        return TSIGContext::sign(id, data, size);
    }

    TSIGError verify(const dns::TSIGRecord* const record, const void* const data, const size_t size) override {
        say("verify", record != nullptr ? record->getName().toText() : "nothing");
        say("state", static_cast<int>(getState()));
        if (mode_ == "verify-throws") {
            isc_throw(Unexpected, "cannot verify");
        }
        if (mode_ == "verify-refuses") {
            return TSIGError::BAD_KEY();
        }
        const TSIGError error = TSIGContext::verify(record, data, size);
        say("verified", error.toText());
        return mode_ == "verify-accepts" ? TSIGError::NOERROR() : error;
    }

    size_t getTSIGLength() const override {
        say("length", mode_);
        if (mode_ == "length-throws") {
            isc_throw(Unexpected, "cannot tell the length");
        }
        return mode_ == "length-400" ? 400 : TSIGContext::getTSIGLength();
    }

private:
    const std::string mode_;
};

class TellingKey : public D2TsigKey {
public:
    TellingKey() : D2TsigKey(own) {}

    TSIGContextPtr createContext() override {
        if (mode == "create-throws") {
            isc_throw(Unexpected, "cannot begin");
        }
        return mode == "create-null" ? TSIGContextPtr() : TSIGContextPtr(new TellingContext(*this));
    }
};

D2TsigKeyPtr named(const std::string& name, const Name& algorithm, size_t size = secret_size) {
    return D2TsigKeyPtr(new D2TsigKey(Name(name), algorithm, size > 0 ? secret : nullptr, size));
}

D2TsigKeyPtr last_configured() {
    D2TsigKeyPtr found;
    for (const auto& key : *config_seen->getKeys()) {
        found = key.second->getTSIGKey();
    }
    return found;
}

D2TsigKeyPtr kept_key() {
    if (!kept) {
        kept.reset(new TellingKey());
    }
    return kept;
}

const std::map<std::string, std::function<D2TsigKeyPtr()>> plain_keys = {
    {"plain", [] { return D2TsigKeyPtr(new D2TsigKey(own)); }},
    {"cut", [] { return D2TsigKeyPtr(new D2TsigKey("own.:MDEyMzQ1Njc4OWFiY2RlZg==:hmac-sha512:256")); }},
    {"capitals", [] { return D2TsigKeyPtr(new D2TsigKey("OWN.:MDEyMzQ1Njc4OWFiY2RlZg==:hmac-sha256")); }},
    {"sha1", [] { return named("own.", TSIGKey::HMACSHA1_NAME()); }},
    {"md5", [] { return named("own.", TSIGKey::HMACMD5_NAME()); }},
    {"gss-tsig", [] { return named("1234.own.", Name("gss-tsig"), 0); }},
    {"no-secret", [] { return named("own.", TSIGKey::HMACSHA256_NAME(), 0); }},
    {"wrong-secret", [] { return named("own.", TSIGKey::HMACSHA256_NAME(), 15); }},
    {"unknown", [] { return named("unknown.", TSIGKey::HMACSHA256_NAME()); }},
    {"null", [] { return D2TsigKeyPtr(); }},
    {"configured", last_configured},
    {"kept", kept_key},
};

int set_mode(CalloutHandle& handle) {
    ConstElementPtr command;
    handle.getArgument("command", command);
    mode = command->get("arguments")->get("mode")->stringValue();
    handle.setArgument("response", config::createAnswer(0, mode));
    return 0;
}

}  // namespace

extern "C" {

int select_key(CalloutHandle& handle) {
    D2TsigKeyPtr key;
    DnsServerInfoPtr server;
    handle.getArgument("tsig_key", key);
    handle.getArgument("current_server", server);
    say(mode, key ? key->toText() : "unsigned");
    say("the server's own", server->getTSIGKeyInfo() && server->getTSIGKeyInfo()->getTSIGKey() == key);
    const auto plain = plain_keys.find(mode);
    if (plain != plain_keys.end()) {
        handle.setArgument("tsig_key", plain->second());
    } else if (mode == "no-argument") {
        handle.deleteArgument("tsig_key");
    } else if (mode == "base-class") {
        handle.setArgument("tsig_key", boost::shared_ptr<TSIGKey>(new TSIGKey(own)));
    } else if (mode == "other-server") {
        handle.setArgument("current_server",
                           DnsServerInfoPtr(new DnsServerInfo("", asiolink::IOAddress("127.0.0.1"), 9)));
    } else if (mode == "null-server") {
        handle.setArgument("current_server", DnsServerInfoPtr());
    } else if (mode != "none") {
        handle.setArgument("tsig_key", D2TsigKeyPtr(new TellingKey()));
    }
    return 0;
}

int d2_srv_configured(CalloutHandle& handle) {
    handle.getArgument("server_config", config_seen);
    return 0;
}

int load(LibraryHandle& handle) {
    handle.registerCommandCallout("signers-set", set_mode);
    return 0;
}

int unload() {
    say("unload", mode);
    kept.reset();
    config_seen.reset();
    return 0;
}
}
