// A hook library like ISC's GSS-TSIG, compiled against Kea alone: it agrees on its keys with the DNS server over
// TCP (a TKEY exchange, RFC 2930) when it is configured and again by a timer, and signs by its own contexts.
// In place of GSS-API each side sends a nonce; the secret is the SHA-256 HMAC of both under a common secret.
#include <asiodns/io_fetch.h>
#include <asiolink/interval_timer.h>
#include <asiolink/io_address.h>
#include <asiolink/io_service.h>
#include <asiolink/io_service_mgr.h>
#include <cc/command_interpreter.h>
#include <cc/data.h>
#include <cryptolink/crypto_hmac.h>
#include <cryptolink/crypto_rng.h>
#include <cryptolink/cryptolink.h>
#include <d2srv/d2_cfg_mgr.h>
#include <d2srv/d2_tsig_key.h>
#include <dns/message.h>
#include <dns/messagerenderer.h>
#include <dns/opcode.h>
#include <dns/rcode.h>
#include <dns/rdataclass.h>
#include <dns/tsig.h>
#include <exceptions/exceptions.h>
#include <hooks/hooks.h>
#include <log/logger.h>
#include <log/macros.h>
#include <log/message_initializer.h>
#include <stats/stats_mgr.h>

#include <algorithm>
#include <list>
#include <memory>
#include <string>
#include <vector>

using namespace isc;
using asiodns::IOFetch;
using asiolink::IOServiceMgr;
using asiolink::IOServicePtr;
using asiolink::IntervalTimer;
using data::ConstElementPtr;
using data::Element;
using data::ElementPtr;
using dns::Message;
using dns::Name;
using hooks::CalloutHandle;
using hooks::LibraryHandle;

namespace {

const char* values[] = {"TKEY_SAYS", "%1", nullptr};
const log::MessageInitializer messages(values);
log::Logger logger("tkey-hooks");

typedef std::vector<uint8_t> Octets;

int64_t signs = 0, verifies = 0, failures = 0;
int64_t serial = 0;

void say(const std::string& what) {
    LOG_INFO(logger, "TKEY_SAYS").arg(what);
}

// Signs and verifies with a secret that the key itself does not show.
class Context : public dns::TSIGContext {
public:
    Context(const dns::TSIGKey& shown, const dns::TSIGKey& secret) : TSIGContext(shown), inner_(secret) {}
    dns::ConstTSIGRecordPtr sign(const uint16_t id, const void* const data, const size_t size) override {
        ++signs;
        return inner_.sign(id, data, size);
    }
    dns::TSIGError verify(const dns::TSIGRecord* const record, const void* const data,
                          const size_t size) override {
        ++verifies;
        const dns::TSIGError error = inner_.verify(record, data, size);
        failures += error == dns::TSIGError::NOERROR() ? 0 : 1;
        return error;
    }
    size_t getTSIGLength() const override { return inner_.getTSIGLength(); }
    State getState() const override { return inner_.getState(); }
    dns::TSIGError getError() const override { return inner_.getError(); }
    bool lastHadSignature() const override { return inner_.lastHadSignature(); }

private:
    TSIGContext inner_;
};

class Key : public d2::D2TsigKey {
public:
    Key(const Name& name, const Octets& secret)
        : D2TsigKey(name, Name("own-tsig."), nullptr, 0),
          secret_(name, Name("hmac-sha256."), secret.data(), secret.size()) {}
    dns::TSIGContextPtr createContext() override { return dns::TSIGContextPtr(new Context(*this, secret_)); }

private:
    const dns::TSIGKey secret_;
};

class Server;

// One exchange: a query, its answer. It is replaced, and never used again.
class Exchange : public IOFetch::Callback {
public:
    Exchange(Server& server, const IOServicePtr& service);
    ~Exchange() override { stop(); }
    void stop() { fetch_->stop(); }
    void operator()(IOFetch::Result result) override;
    bool done() const { return done_; }

private:
    Server& server_;
    const Name name_;
    Octets nonce_;
    util::OutputBufferPtr reply_;
    std::unique_ptr<IOFetch> fetch_;
    bool done_ = false;
};

class Server {
public:
    explicit Server(const ConstElementPtr& parameters)
        : address(parameters->get("ip-address")->stringValue()),
          port(static_cast<uint16_t>(parameters->get("port")->intValue())),
          tkey_port(static_cast<uint16_t>(parameters->get("tkey-port")->intValue())),
          common(parameters->get("secret")->stringValue()) {}

    void begin(const IOServicePtr& service) {
        // What is over is destroyed here, never in its own callback.
        exchanges.remove_if([](const std::unique_ptr<Exchange>& exchange) { return exchange->done(); });
        exchanges.emplace_back(new Exchange(*this, service));
    }

    const std::string address;
    const uint16_t port, tkey_port;
    const std::string common;
    d2::D2TsigKeyPtr key;
    std::string status = "none";
    int64_t chosen = 0;
    std::list<std::unique_ptr<Exchange>> exchanges;
};

Exchange::Exchange(Server& server, const IOServicePtr& service)
    : server_(server), name_(std::to_string(++serial) + ".tkey.example."),
      nonce_(cryptolink::random(16)), reply_(new util::OutputBuffer(512)) {
    Message query(Message::RENDER);
    query.setOpcode(dns::Opcode::QUERY());
    query.setRcode(dns::Rcode::NOERROR());
    query.addQuestion(dns::Question(name_, dns::RRClass::ANY(), dns::RRType::TKEY()));
    const dns::RRsetPtr set(new dns::RRset(name_, dns::RRClass::ANY(), dns::RRType::TKEY(), dns::RRTTL(0)));
    set->addRdata(dns::rdata::ConstRdataPtr(new dns::rdata::generic::TKEY(
        Name("own-tsig."), 0, 0, dns::rdata::generic::TKEY::GSS_API_MODE, 0,
        static_cast<uint16_t>(nonce_.size()), nonce_.data(), 0, nullptr)));
    query.addRRset(Message::SECTION_ADDITIONAL, set);
    util::OutputBufferPtr wire(new util::OutputBuffer(512));
    dns::MessageRenderer renderer;
    renderer.setBuffer(wire.get());
    query.toWire(renderer);
    fetch_.reset(new IOFetch(IOFetch::TCP, service, wire, asiolink::IOAddress(server.address),
                             server.tkey_port, reply_, this, 5000));
    service->post(*fetch_);
    server.status = "asking";
}

Octets octets_of(const util::OutputBuffer& buffer) {
    Octets octets;
    for (size_t at = 0; at < buffer.getLength(); ++at) {
        octets.push_back(buffer[at]);
    }
    return octets;
}

void Exchange::operator()(IOFetch::Result result) {
    done_ = true;
    if (result != IOFetch::SUCCESS) {
        server_.status = result == IOFetch::TIME_OUT ? "no answer" : "stopped";
        say(server_.address + " " + server_.status);
        return;
    }
    Octets nonces(nonce_);
    const Octets wire = octets_of(*reply_);
    Message answer(Message::PARSE);
    util::InputBuffer in(wire.data(), wire.size());
    try {
        answer.fromWire(in);
        const auto set = answer.beginSection(Message::SECTION_ANSWER);
        if (set == answer.endSection(Message::SECTION_ANSWER)) {
            isc_throw(Unexpected, "no TKEY in the answer");
        }
        const dns::RdataIteratorPtr rdata = (*set)->getRdataIterator();
        const auto& tkey = dynamic_cast<const dns::rdata::generic::TKEY&>(rdata->getCurrent());
        const uint8_t* theirs = static_cast<const uint8_t*>(tkey.getKey());
        nonces.insert(nonces.end(), theirs, theirs + tkey.getKeyLen());
    } catch (const std::exception& error) {
        server_.status = "bad answer";
        say(server_.address + " bad answer: " + error.what());
        return;
    }
    std::unique_ptr<cryptolink::HMAC> hmac(cryptolink::CryptoLink::getCryptoLink().createHMAC(
        server_.common.data(), server_.common.size(), cryptolink::SHA256));
    hmac->update(nonces.data(), nonces.size());
    const Octets secret = hmac->sign(32);
    server_.key.reset(new Key(name_, secret));
    server_.status = "ready";
    stats::StatsMgr::instance().addValue("tkey.exchanges", static_cast<int64_t>(1));
    say(server_.address + " has key " + name_.toText());
}

std::list<Server> servers;
IOServicePtr service;
std::unique_ptr<IntervalTimer> timer;
long rekey = 0;
bool own_service = true;

void begin_all() {
    for (Server& server : servers) {
        server.begin(service);
    }
}

}  // namespace

extern "C" {

int version() {
    return KEA_HOOKS_VERSION;
}

int load(LibraryHandle& handle);

int d2_srv_configured(CalloutHandle& handle) {
    if (own_service) {
        service.reset(new asiolink::IOService());
        IOServiceMgr::instance().registerIOService(service);
    } else {
        handle.getArgument("io_context", service);
    }
    d2::D2CfgContextPtr config;
    handle.getArgument("server_config", config);
    std::string all;
    for (const auto& domain : *config->getForwardMgr()->getDomains()) {
        for (const auto& server : *domain.second->getServers()) {
            all += " " + server->getIpAddress().toText() + "#" + std::to_string(server->getPort());
        }
    }
    say("configured with" + all);
    begin_all();
    if (rekey > 0) {
        timer.reset(new IntervalTimer(service));
        timer->setup(begin_all, rekey);
    }
    return 0;
}

int select_key(CalloutHandle& handle) {
    d2::DnsServerInfoPtr asked;
    handle.getArgument("current_server", asked);
    for (Server& server : servers) {
        if (asked->getIpAddress().toText() == server.address && asked->getPort() == server.port) {
            if (!server.key) {
                handle.setStatus(CalloutHandle::NEXT_STEP_SKIP);
                return 0;
            }
            ++server.chosen;
            handle.setArgument("tsig_key", server.key);
        }
    }
    return 0;
}

int list(CalloutHandle& handle) {
    const ElementPtr keys = Element::createList();
    for (const Server& server : servers) {
        const ElementPtr entry = Element::createMap();
        entry->set("server", Element::create(server.address));
        entry->set("status", Element::create(server.status));
        entry->set("key", Element::create(server.key ? server.key->getKeyName().toText() : std::string()));
        entry->set("chosen", Element::create(server.chosen));
        keys->add(entry);
    }
    const ElementPtr answer = Element::createMap();
    answer->set("keys", keys);
    answer->set("signs", Element::create(signs));
    answer->set("verifies", Element::create(verifies));
    answer->set("failures", Element::create(failures));
    handle.setArgument("response", config::createAnswer(0, std::to_string(keys->size()) + " server(s)", answer));
    return 0;
}

int renew(CalloutHandle& handle) {
    begin_all();
    handle.setArgument("response", config::createAnswer(0, "asking"));
    return 0;
}

int load(LibraryHandle& handle) {
    const ConstElementPtr parameters = handle.getParameters();
    for (const ElementPtr& server : parameters->get("servers")->listValue()) {
        servers.emplace_back(server);
    }
    if (parameters->get("rekey-interval")) {
        rekey = static_cast<long>(parameters->get("rekey-interval")->intValue());
    }
    if (parameters->get("service")) {
        own_service = parameters->get("service")->stringValue() == "own";
    }
    handle.registerCommandCallout("tkey-list", list);
    handle.registerCommandCallout("tkey-rekey", renew);
    say("load");
    return 0;
}

int unload() {
    timer.reset();
    for (Server& server : servers) {
        for (const auto& exchange : server.exchanges) {
            exchange->stop();
        }
    }
    if (service && own_service) {
        IOServiceMgr::instance().unregisterIOService(service);
        service->stopAndPoll();
    } else if (service) {
        service->poll();  // what was cancelled ends here
    }
    servers.clear();
    service.reset();
    say("unload");
    return 0;
}
}
