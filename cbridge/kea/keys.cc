#include "keys.h"

#include "kea_abi.h"
#include "python_key.h"

#include <dns/message.h>
#include <dns/name.h>
#include <dns/tsigerror.h>
#include <dns/tsigrecord.h>
#include <exceptions/exceptions.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <typeinfo>

using isc::d2::D2TsigKey;
using isc::d2::D2TsigKeyPtr;
using isc::dns::Name;

namespace pyd2 {

kb_key* wrap(const D2TsigKeyPtr& key) {
    if (!key) {
        return nullptr;
    }
    return new kb_key{current_generation(), key, std::string(), std::string()};
}

}  // namespace pyd2

kb_key* kb_key_new(const char* name, const char* algorithm, const uint8_t* secret, size_t secret_size,
                   size_t digest_bits) {
    return pyd2::guarded<kb_key*>(nullptr, [&] {
        return pyd2::wrap(D2TsigKeyPtr(
            new D2TsigKey(Name(name), Name(algorithm), secret_size > 0 ? secret : nullptr, secret_size,
                          digest_bits)));
    });
}

kb_key* kb_key_of_python(const char* name, const char* algorithm, int64_t reference) {
    return pyd2::guarded<kb_key*>(nullptr, [&] {
        return pyd2::wrap(pyd2::make_python_key(name, algorithm, reference));
    });
}

int kb_key_facts_of(kb_key* key, kb_key_facts* facts) {
    return pyd2::guarded(-1, [&] {
        const D2TsigKey& value = *key->value;
        Name name(value.getKeyName());
        Name algorithm(value.getAlgorithmName());
        key->name = name.downcase().toText();
        key->algorithm = algorithm.downcase().toText();
        facts->name = key->name.c_str();
        facts->algorithm = key->algorithm.c_str();
        facts->secret = static_cast<const uint8_t*>(value.getSecret());
        facts->secret_size = value.getSecretLength();
        facts->digest_bits = value.getDigestbits();
        facts->plain = typeid(value) == typeid(D2TsigKey) ? 1 : 0;
        return 0;
    });
}

uintptr_t kb_key_identity(const kb_key* key) {
    return pyd2::identity_of(key->value);
}

int kb_key_shared(const kb_key* key) {
    return key->value.use_count() > 1 ? 1 : 0;
}

void kb_key_free(kb_key* key) {
    delete key;
}

kb_signing* kb_signing_new(kb_key* key) {
    return pyd2::guarded<kb_signing*>(nullptr, [&]() -> kb_signing* {
        std::unique_ptr<kb_signing> signing(new kb_signing{key->generation, key->value, nullptr});
        signing->context = key->value->createContext();
        return signing.release();
    });
}

void kb_signing_free(kb_signing* signing) {
    delete signing;
}

int kb_signing_length(kb_signing* signing) {
    return pyd2::guarded(-1, [&] {
        return signing->context ? static_cast<int>(signing->context->getTSIGLength()) : 0;
    });
}

uint8_t* kb_signing_sign(kb_signing* signing, const uint8_t* message, size_t length, size_t* size) {
    return pyd2::guarded<uint8_t*>(nullptr, [&] {
        if (length < 12) {
            isc_throw(isc::BadValue, "a DNS message has at least 12 octets");
        }
        isc::util::OutputBuffer out(512);
        if (signing->context) {
            // Kea calls getTSIGLength() before it signs, and a context may depend on that.
            static_cast<void>(signing->context->getTSIGLength());
            const uint16_t query_id = static_cast<uint16_t>(message[0] << 8 | message[1]);
            const isc::dns::ConstTSIGRecordPtr record = signing->context->sign(query_id, message, length);
            if (!record) {
                isc_throw(isc::Unexpected, "the context's sign() returned null");
            }
            record->toWire(out);
        }
        uint8_t* copy = static_cast<uint8_t*>(std::malloc(out.getLength() + 1));
        if (copy == nullptr) {
            throw std::bad_alloc();
        }
        if (out.getLength() > 0) {
            std::memcpy(copy, pyd2::abi::octets(out), out.getLength());
        }
        *size = out.getLength();
        return copy;
    });
}

int kb_signing_verify(kb_signing* signing, const uint8_t* reply, size_t length) {
    return pyd2::guarded(-1, [&] {
        if (!signing->context) {
            return 0;
        }
        isc::dns::Message message(isc::dns::Message::PARSE);
        isc::util::InputBuffer in(reply, length);
        message.fromWire(in);
        return static_cast<int>(signing->context->verify(message.getTSIGRecord(), reply, length).getCode());
    });
}

char* kb_tsig_error_text(int error) {
    return pyd2::guarded<char*>(nullptr, [&] {
        return pyd2::copy_text(isc::dns::TSIGError(static_cast<uint16_t>(error)).toText());
    });
}
