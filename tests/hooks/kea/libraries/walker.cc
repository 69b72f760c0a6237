// A hook library for the tests, compiled against Kea alone, that reads all there is to read: its parameters of every
// type, JSON of its own making, the whole configuration and where each value stood. All of it goes to the log.
#include <cc/data.h>
#include <d2srv/d2_cfg_mgr.h>
#include <d2srv/d2_tsig_key.h>

#include <string>

#define MESSAGE_ID "PROBE_WALKS"
#define LOGGER "walker"
#include "says.h"

using namespace isc;
using d2::D2CfgContextPtr;
using d2::DdnsDomainListMgrPtr;
using d2::DdnsDomainPtr;
using data::ConstElementPtr;
using data::Element;
using data::ElementPtr;
using hooks::CalloutHandle;
using hooks::LibraryHandle;

namespace {

std::string text_of(const ConstElementPtr& element) {
    return element ? element->str() : "nothing";
}

void say_positions(const ConstElementPtr& element, const std::string& path) {
    say("position of " + path, element->getPosition().str());
    if (element->getType() == Element::map) {
        for (const auto& member : element->mapValue()) {
            say_positions(member.second, path + "/" + member.first);
        }
    } else if (element->getType() == Element::list) {
        for (size_t at = 0; at < element->size(); ++at) {
            say_positions(element->get(static_cast<int>(at)), path + "/" + std::to_string(at));
        }
    }
}

void say_parameter(const std::string& name, const ConstElementPtr& value) {
    say(name, std::string(Element::typeToName(value->getType())) + " " + value->str());
    switch (value->getType()) {
    case Element::integer:
        return say(name, value->intValue());
    case Element::real:
        return say(name, value->doubleValue());
    case Element::boolean:
        return say(name, value->boolValue());
    case Element::string:
        return say(name, value->stringValue());
    case Element::bigint:
        return say(name, value->bigIntValue().str());
    default:
        return;
    }
}

void say_json() {
    for (const char* const text :
         {"{", "{ \"a\": }", "[1,]", "{\"a\":1} x", "nul", "\"\\u12\"", "1e999", "[1e3, 2.50]", "# c\n{}",
          "123456789012345678901234567890", "{\"b\":[null,true],\"a\":\"\\u00e9\\n\"}"}) {
        try {
            const ElementPtr made = Element::fromJSON(text);
            say(text, made->str());
            say(text, data::copy(made)->equals(*made));
            say(text, data::prettyPrint(made));
        } catch (const std::exception& error) {
            say(text, error.what());
        }
    }
}

void say_domains(const DdnsDomainListMgrPtr& manager) {
    say("manager", manager->getName() + " " + manager->toElement()->str());
    for (const auto& domain : *manager->getDomains()) {
        say("domain", domain.first + " " + domain.second->getKeyName() + " " + text_of(domain.second->getContext()));
        for (const auto& server : *domain.second->getServers()) {
            say("server", server->toText() + " " + server->getKeyName() + " " + std::to_string(server->isEnabled()) +
                              " " + server->toElement()->str() + " " + text_of(server->getContext()));
            say("key", server->getTSIGKeyInfo() ? server->getTSIGKeyInfo()->getTSIGKey()->toText() : "none");
        }
    }
    for (const char* const name : {"a.example.com.", "A.EXAMPLE.COM", "a.b.sub.example.com.", "nothing.", ""}) {
        DdnsDomainPtr found;
        say(std::string("match of ") + name, manager->matchDomain(name, found) ? found->getName() : "none");
    }
}

}  // namespace

extern "C" {

int load(LibraryHandle& handle) {
    for (const std::string& name : handle.getParameterNames()) {
        say_parameter(name, handle.getParameter(name));
    }
    say("parameters", text_of(handle.getParameters()));
    say("no such parameter", text_of(handle.getParameter("no-such")));
    say_json();
    return 0;
}

int d2_srv_configured(CalloutHandle& handle) {
    ConstElementPtr json;
    D2CfgContextPtr config;
    handle.getArgument("json_config", json);
    handle.getArgument("server_config", config);
    say_positions(json, "");
    say("json_config", json->str());
    say("server_config", config->toElement()->str());
    say("parameters", config->getD2Params()->toText());
    say("user-context", text_of(config->getContext()));
#if !__has_include(<process/cfgrpt/config_report.h>)  // Kea 2.6
    say("control socket", text_of(config->getControlSocketInfo()));
#else  // Kea 3.0: a list of maps
    say("control sockets", text_of(config->getUnixControlSocketInfo()));
#endif
    say("never committed", config->getLastCommitTime().is_not_a_date_time());
    for (const auto& key : *config->getKeys()) {
        say("key", key.first + " " + key.second->toElement()->str() + " " + key.second->getTSIGKey()->toText());
    }
    for (const auto& one : config->getLoggingInfo()) {
        say("logger", one.toElement()->str());
    }
    say_domains(config->getForwardMgr());
    say_domains(config->getReverseMgr());
    return 0;
}
}
