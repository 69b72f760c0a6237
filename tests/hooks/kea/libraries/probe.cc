// A hook library for the tests, compiled against Kea alone. What it does at each point its parameters say.
#include <asiolink/interval_timer.h>
#include <asiolink/io_service.h>
#include <asiolink/io_service_mgr.h>
#include <cc/command_interpreter.h>
#include <cc/data.h>
#include <d2srv/d2_cfg_mgr.h>
#include <d2srv/d2_tsig_key.h>
#include <dns/tsig.h>
#include <exceptions/exceptions.h>
#include <stats/stats_mgr.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#define MESSAGE_ID "PROBE_SAYS"
#define LOGGER "probe-hooks"
#define MESSAGE_TEXT "%1 says %2"
#include "says.h"

using namespace isc;
using asiolink::IOServiceMgr;
using asiolink::IOServicePtr;
using asiolink::IntervalTimer;
using d2::D2CfgContextPtr;
using d2::D2TsigKey;
using d2::D2TsigKeyPtr;
using d2::DnsServerInfoPtr;
using data::ConstElementPtr;
using data::Element;
using data::ElementPtr;
using hooks::CalloutHandle;
using hooks::LibraryHandle;

namespace {

std::string name = "probe";
std::string at_select, at_configured, at_unload, at_command, at_context, at_both;
ElementPtr seen = Element::createMap();
int64_t ticks = 0, signs = 0, verifies = 0;
IOServicePtr service;
std::unique_ptr<IntervalTimer> timer;
std::thread worker;
D2TsigKeyPtr key;

void say(const std::string& what) {
    say(name, what);
}

void tick() {
    ++ticks;
    say("tick");
}

class CountingContext : public dns::TSIGContext {
public:
    explicit CountingContext(const dns::TSIGKey& of) : TSIGContext(of) {}
    dns::ConstTSIGRecordPtr sign(const uint16_t id, const void* const data, const size_t size) override {
        ++signs;
        return TSIGContext::sign(id, data, size);
    }
    dns::TSIGError verify(const dns::TSIGRecord* const record, const void* const data,
                          const size_t size) override {
        ++verifies;
        return TSIGContext::verify(record, data, size);
    }
};

class CountingKey : public D2TsigKey {
public:
    explicit CountingKey(const std::string& spec) : D2TsigKey(spec) {}
    dns::TSIGContextPtr createContext() override { return dns::TSIGContextPtr(new CountingContext(*this)); }
};

std::string text_of(const ConstElementPtr& parameters, const std::string& member) {
    const ConstElementPtr value = parameters ? parameters->get(member) : ConstElementPtr();
    return value ? value->stringValue() : std::string();
}

// What the callouts of all libraries share in one use, and what this one keeps for itself.
void leave_trace(CalloutHandle& handle, const std::string& hook) {
    std::string trace;
    try {
        handle.getArgument("trace", trace);
    } catch (const hooks::NoSuchArgument&) {
    }
    handle.setArgument("trace", trace + name);
    int count = 0;
    handle.getOptionalContext("count", count);
    handle.setContext("count", count + 1);
    say(hook + " " + std::to_string(handle.getCurrentLibrary()) + " '" + trace + "' " + std::to_string(count) +
        " status " + std::to_string(handle.getStatus()));
}

int act(CalloutHandle& handle, const std::string& action) {
    if (action == "wrong") {
        // Each point's own output, with a value of an unexpected type.
        const std::vector<std::string> names = handle.getArgumentNames();
        for (const char* const output : {"tsig_key", "error", "response"}) {
            if (std::find(names.begin(), names.end(), output) != names.end()) {
                handle.setArgument(output, 4711.5);
            }
        }
    } else if (action == "skip") {
        handle.setStatus(CalloutHandle::NEXT_STEP_SKIP);
    } else if (action == "drop") {
        handle.setStatus(CalloutHandle::NEXT_STEP_DROP);
    } else if (action == "park") {
        handle.setStatus(CalloutHandle::NEXT_STEP_PARK);
    } else if (action == "throw") {
        isc_throw(Unexpected, "the probe was asked to throw");
    } else if (action == "throw-int") {
        throw 42;
    } else if (action == "error") {
        return 7;
    }
    return 0;
}

}  // namespace

extern "C" {

int multi_threading_compatible() {
    return 1;
}

int context_create(CalloutHandle& handle) {
    leave_trace(handle, "context_create");
    return act(handle, at_context);
}

int context_destroy(CalloutHandle& handle) {
    leave_trace(handle, "context_destroy");
    return act(handle, at_context);
}

int select_key(CalloutHandle& handle) {
    leave_trace(handle, "select_key");
    DnsServerInfoPtr server;
    handle.getArgument("current_server", server);
    D2TsigKeyPtr given;
    handle.getArgument("tsig_key", given);
    say("server " + server->toText() + " key " + (given ? given->getKeyName().toText() : "none") + " " +
        (given ? std::to_string(given->getSecretLength()) : ""));
    if (at_select.compare(0, 4, "key=") == 0) {
        handle.setArgument("tsig_key", D2TsigKeyPtr(new D2TsigKey(at_select.substr(4))));
    } else if (at_select == "own-key") {
        handle.setArgument("tsig_key", key);
    } else if (at_select == "null-key") {
        handle.setArgument("tsig_key", D2TsigKeyPtr());
    } else if (at_select == "sign" && given) {
        // Signs and verifies through whatever stands behind the key.
        const uint8_t message[12] = {0x12, 0x34, 0x28};
        const dns::TSIGContextPtr context = given->createContext();
        const dns::ConstTSIGRecordPtr record = context->sign(0x1234, message, sizeof message);
        say("signed " + record->toText());
        say("verified " + context->verify(nullptr, message, sizeof message).toText() + " length " +
            std::to_string(context->getTSIGLength()));
    }
    return act(handle, at_select);
}

int d2_srv_configured(CalloutHandle& handle) {
    leave_trace(handle, "d2_srv_configured");
    IOServicePtr io_context;
    ConstElementPtr json;
    D2CfgContextPtr config;
    std::string error;
    handle.getArgument("io_context", io_context);
    handle.getArgument("json_config", json);
    handle.getArgument("server_config", config);
    handle.getArgument("error", error);
    size_t servers = 0;
    for (const auto& manager : {config->getForwardMgr(), config->getReverseMgr()}) {
        for (const auto& domain : *manager->getDomains()) {
            servers += domain.second->getServers()->size();
        }
    }
    seen->set("servers", Element::create(static_cast<int64_t>(servers)));
    seen->set("keys", Element::create(static_cast<int64_t>(config->getKeys()->size())));
    seen->set("port", Element::create(static_cast<int64_t>(config->getD2Params()->getPort())));
    seen->set("libraries", config->getHooksConfig().toElement());
    seen->set("position", Element::create(json->getPosition().str()));
    if (at_configured == "refuse") {
        handle.setArgument("error", name + " refuses");
        handle.setStatus(CalloutHandle::NEXT_STEP_DROP);
        return 0;
    }
    if (at_configured == "post-throw" || at_configured == "timer" || at_configured == "thread" ||
        at_configured == "timer-throw") {
        service.reset(new asiolink::IOService());
        IOServiceMgr::instance().registerIOService(service);
    }
    if (at_configured == "post-throw") {
        service->post([] { isc_throw(Unexpected, "not ready after all"); });
    } else if (at_configured == "timer") {
        timer.reset(new IntervalTimer(service));
        timer->setup(tick, 20);
    } else if (at_configured == "timer-throw") {
        timer.reset(new IntervalTimer(service));
        timer->setup([] {
            tick();
            isc_throw(Unexpected, "not in time");
        }, 20);
    } else if (at_configured == "main-thread") {
        worker = std::thread([io_context] {
            for (int number = 0; number < 100; ++number) {
                io_context->post(tick);
                std::this_thread::sleep_for(std::chrono::microseconds(500));
            }
        });
    } else if (at_configured == "main-timer") {
        timer.reset(new IntervalTimer(io_context));
        timer->setup(tick, 20);
    } else if (at_configured == "thread") {
        std::thread([] {
            say("from a thread");
            service->post(tick);
        }).join();
    }
    return act(handle, at_configured);
}

int command_processed(CalloutHandle& handle) {
    leave_trace(handle, "command_processed");
    ConstElementPtr response;
    handle.getArgument("response", response);
    if (at_command == "change" && response) {
        // In place, as libraries do although the pointer says const.
        boost::const_pointer_cast<Element>(response)->set("by", Element::create(name));
    } else if (at_command == "silence") {
        handle.setArgument("response", ConstElementPtr());
    }
    return act(handle, at_command);
}

int state(CalloutHandle& handle) {
    leave_trace(handle, "state");
    ConstElementPtr command;
    handle.getArgument("command", command);
    const ElementPtr answer = data::copy(seen);
    answer->set("ticks", Element::create(ticks));
    answer->set("signs", Element::create(signs));
    answer->set("verifies", Element::create(verifies));
    answer->set("command", data::copy(command));
    const ConstElementPtr sent =
        stats::StatsMgr::instance().get("update-sent");
    answer->set("sent", data::copy(sent));
    stats::StatsMgr::instance().addValue("probe[" + name + "].asked", static_cast<int64_t>(1));
    handle.setArgument("response", config::createAnswer(0, "as asked", answer));
    return act(handle, text_of(command->get("arguments"), "action"));
}

// A command that several libraries answer.
int both(CalloutHandle& handle) {
    leave_trace(handle, "$both");
    ConstElementPtr response;
    handle.getArgument("response", response);
    const ElementPtr names = Element::createList();
    if (response) {
        names->add(Element::create(response->get("text")->stringValue()));
    }
    names->add(Element::create(name));
    handle.setArgument("response", config::createAnswer(0, names->str()));
    return act(handle, at_both);
}

int load(LibraryHandle& handle) {
    const ConstElementPtr parameters = handle.getParameters();
    if (!text_of(parameters, "name").empty()) {
        name = text_of(parameters, "name");
    }
    at_select = text_of(parameters, "select");
    at_configured = text_of(parameters, "configured");
    at_unload = text_of(parameters, "unload");
    at_command = text_of(parameters, "command");
    at_context = text_of(parameters, "context");
    at_both = text_of(parameters, "both");
    if (at_select == "own-key") {
        key.reset(new CountingKey("own.:MDEyMzQ1Njc4OWFiY2RlZg==:hmac-sha256"));
    }
    handle.registerCommandCallout(name + "-state", state);
    if (parameters->get("both")) {
        handle.registerCommandCallout("both", both);
    }
    const std::string at_load = text_of(parameters, "load");
    if (at_load == "error") {
        return 3;
    }
    if (at_load == "throw") {
        isc_throw(Unexpected, "no wish to load");
    }
    if (at_load == "throw-int") {
        throw 42;
    }
    if (at_load == "post-throw") {
        service.reset(new asiolink::IOService());
        IOServiceMgr::instance().registerIOService(service);
        service->post([] { isc_throw(Unexpected, "not ready after all"); });
    }
    say("load");
    return 0;
}

int unload() {
    timer.reset();
    if (worker.joinable()) {
        worker.join();
    }
    if (service) {
        IOServiceMgr::instance().unregisterIOService(service);
        service->stopAndPoll();
        service.reset();
    }
    key.reset();
    say("unload");
    if (at_unload == "error") {
        return 4;
    }
    if (at_unload == "throw") {
        isc_throw(Unexpected, "no wish to unload");
    }
    return 0;
}
}
