#include "python_key.h"

#include "slots.h"

#include <dns/name.h>
#include <dns/rdataclass.h>
#include <dns/rrclass.h>
#include <dns/rrttl.h>
#include <dns/rrtype.h>
#include <dns/tsig.h>
#include <dns/tsigrecord.h>
#include <exceptions/exceptions.h>
#include <util/buffer.h>

using isc::d2::D2TsigKey;
using isc::d2::D2TsigKeyPtr;
using isc::dns::ConstTSIGRecordPtr;
using isc::dns::Name;
using isc::dns::TSIGContext;
using isc::dns::TSIGContextPtr;
using isc::dns::TSIGError;
using isc::dns::TSIGRecord;

namespace {

class PythonContext : public TSIGContext {
public:
    PythonContext(D2TsigKey& key, const pyd2::Reference& reference)
        : TSIGContext(key), reference_(pyd2::callbacks().signing_begin(reference.id())), state_(INIT),
          error_(TSIGError::NOERROR()) {
        if (reference_.id() < 0) {
            throw pyd2::Raised();
        }
    }

    ConstTSIGRecordPtr sign(const uint16_t query_id, const void* const data, const size_t length) override {
        const uint8_t* record = nullptr;
        const int64_t size = pyd2::callbacks().signing_sign(
            reference_.id(), query_id, static_cast<const uint8_t*>(data), length, &record);
        if (size < 0) {
            throw pyd2::Raised();
        }
        isc::util::InputBuffer in(record, static_cast<size_t>(size));
        const Name name(in);
        const isc::dns::RRType type(in);
        const isc::dns::RRClass rr_class(in);
        const isc::dns::RRTTL ttl(in);
        const uint16_t rdata_length = in.readUint16();
        const isc::dns::rdata::any::TSIG rdata(in, rdata_length);
        state_ = SENT_REQUEST;
        return ConstTSIGRecordPtr(new TSIGRecord(name, rr_class, ttl, rdata, static_cast<size_t>(size)));
    }

    TSIGError verify(const TSIGRecord* const, const void* const data, const size_t length) override {
        const int error = pyd2::callbacks().signing_verify(
            reference_.id(), static_cast<const uint8_t*>(data), length);
        if (error < 0) {
            throw pyd2::Raised();
        }
        error_ = TSIGError(static_cast<uint16_t>(error));
        if (error == 0) {
            state_ = VERIFIED_RESPONSE;
        }
        return error_;
    }

    bool lastHadSignature() const override { return state_ == VERIFIED_RESPONSE; }

    size_t getTSIGLength() const override {
        const int64_t length = pyd2::callbacks().signing_length(reference_.id());
        if (length < 0) {
            throw pyd2::Raised();
        }
        return static_cast<size_t>(length);
    }

    State getState() const override { return state_; }
    TSIGError getError() const override { return error_; }

private:
    const pyd2::Reference reference_;
    State state_;
    TSIGError error_;
};

class PythonKey : public D2TsigKey {
public:
    PythonKey(const std::string& name, const std::string& algorithm, int64_t reference)
        : D2TsigKey(Name(name), Name(algorithm), nullptr, 0), reference_(reference) {}

    TSIGContextPtr createContext() override { return TSIGContextPtr(new PythonContext(*this, reference_)); }

private:
    const pyd2::Reference reference_;
};

}  // namespace

namespace pyd2 {

D2TsigKeyPtr make_python_key(const std::string& name, const std::string& algorithm, int64_t reference) {
    return D2TsigKeyPtr(new PythonKey(name, algorithm, reference));
}

}  // namespace pyd2
