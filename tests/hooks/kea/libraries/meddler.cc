// A hook library for the tests, compiled against Kea alone, that does what few do: it changes the configuration
// that it gets, and registers, replaces, removes and runs commands in Kea's CommandMgr.
#include <asiolink/io_address.h>
#include <cc/command_interpreter.h>
#include <cc/data.h>
#include <config/command_mgr.h>
#include <d2srv/d2_cfg_mgr.h>
#include <hooks/hooks.h>
#include <stats/stats_mgr.h>

#include <algorithm>
#include <string>

using namespace isc;
using config::CommandMgr;
using data::ConstElementPtr;
using data::Element;
using data::ElementPtr;
using hooks::CalloutHandle;
using hooks::LibraryHandle;

namespace {

ConstElementPtr parameters;

std::string text_of(const std::string& member) {
    const ConstElementPtr value = parameters->get(member);
    return value ? value->stringValue() : std::string();
}

const char* const other_secret = "bXVjaCBtb3JlIHNlY3JldA==";

d2::DnsServerInfoPtr server_at(int64_t port, const d2::TSIGKeyInfoPtr& key = d2::TSIGKeyInfoPtr(),
                               bool inherited = true) {
    return d2::DnsServerInfoPtr(
        new d2::DnsServerInfo("", asiolink::IOAddress("127.0.0.1"), port, true, key, inherited));
}

// One change of each kind, to the first domain or to the whole.
void build(d2::D2CfgContext& config, const std::string& how) {
    const d2::DdnsDomainMapPtr domains = config.getForwardMgr()->getDomains();
    d2::DnsServerInfoStorage& servers = *domains->begin()->second->getServers();
    const d2::D2Params& old = *config.getD2Params();
    const int64_t port_b = parameters->get("port-b")->intValue();
    const d2::TSIGKeyInfoPtr own(new d2::TSIGKeyInfo("own.", "HMAC-SHA256", "MDEyMzQ1Njc4OWFiY2RlZg=="));
    if (how == "unsigned server") {
        servers.insert(servers.begin(), server_at(port_b));
    } else if (how == "server with an inherited key") {
        servers.insert(servers.begin(), server_at(port_b, own));
    } else if (how == "server with a key of its own") {
        servers.insert(servers.begin(), server_at(port_b, own, false));
    } else if (how == "another secret") {
        const d2::TSIGKeyInfoPtr key(new d2::TSIGKeyInfo("config.", "HMAC-SHA256", other_secret));
        servers.front() = server_at(servers.front()->getPort(), key);
    } else if (how == "keys") {
        const d2::TSIGKeyInfoMapPtr keys(new d2::TSIGKeyInfoMap());
        (*keys)["own."] = own;
        config.setKeys(keys);
    } else if (how == "port") {
        servers.front() = server_at(port_b, servers.front()->getTSIGKeyInfo());
    } else if (how == "address") {
        servers.back() = d2::DnsServerInfoPtr(
            new d2::DnsServerInfo("", asiolink::IOAddress("2001:db8::7"), 5353));
    } else if (how == "fewer servers") {
        servers.erase(servers.begin());
    } else if (how == "disabled server") {
        servers.front()->disable();
    } else if (how == "context") {
        const ElementPtr context = Element::createMap();
        context->set("built", Element::create(true));
        servers.front()->setContext(context);
        domains->begin()->second->setContext(context);
        config.setContext(context);
    } else if (how == "domain") {
        const d2::DnsServerInfoStoragePtr its(new d2::DnsServerInfoStorage());
        its->push_back(server_at(port_b));
        const std::string name = text_of("domain");
        (*domains)[name].reset(new d2::DdnsDomain(name, its, "nowhere."));
    } else if (how == "no domain") {
        domains->clear();
    } else if (how == "managers") {
        const d2::DdnsDomainListMgrPtr manager(new d2::DdnsDomainListMgr("forward-ddns"));
        const d2::DdnsDomainMapPtr its(new d2::DdnsDomainMap(*domains));
        manager->setDomains(its);
        its->begin()->second->getServers()->erase(servers.begin());
        config.setForwardMgr(manager);
    } else if (how == "timeout") {
        config.getD2Params().reset(new d2::D2Params(
            old.getIpAddress(), old.getPort(), 4321, old.getNcrProtocol(), old.getNcrFormat()));
    } else if (how == "own port") {
        config.getD2Params().reset(new d2::D2Params(
            old.getIpAddress(), parameters->get("own-port")->intValue(), old.getDnsServerTimeout(),
            old.getNcrProtocol(), old.getNcrFormat()));
    } else if (how == "logging") {
        process::LoggingInfo info;
        info.name_ = text_of("logger");
        info.severity_ = log::ERROR;
        config.addLoggingInfo(info);
    }
}

ConstElementPtr answer(const std::string& name, const ConstElementPtr& arguments) {
    if (arguments && arguments->getType() == Element::map && arguments->get("throw")) {
        isc_throw(Unexpected, name << " was asked to throw");
    }
    return config::createAnswer(0, "meddler " + name, arguments);
}

}  // namespace

extern "C" {

int version() {
    return KEA_HOOKS_VERSION;
}

int d2_srv_configured(CalloutHandle& handle) {
    d2::D2CfgContextPtr config;
    handle.getArgument("server_config", config);
    const std::string how = text_of("configured");
    if (parameters->get("port-b")) {
        build(*config, how);
    }
    if (how == "change") {
        const d2::D2Params& old = *config->getD2Params();
        config->getD2Params().reset(new d2::D2Params(
            old.getIpAddress(), old.getPort(), 4321, old.getNcrProtocol(), old.getNcrFormat()));
        for (const auto& domain : *config->getForwardMgr()->getDomains()) {
            // The other way round: the last server first; and now the second has the key.
            std::reverse(domain.second->getServers()->begin(), domain.second->getServers()->end());
        }
    } else if (how == "spoil") {
        for (const auto& domain : *config->getForwardMgr()->getDomains()) {
            domain.second->getServers()->clear();
        }
    }
    return 0;
}

int run(CalloutHandle& handle) {
    ConstElementPtr command;
    handle.getArgument("command", command);
    handle.setArgument("response", CommandMgr::instance().processCommand(command->get("arguments")));
    return 0;
}

int load(LibraryHandle& handle) {
    parameters = handle.getParameters();
    handle.registerCommandCallout("meddler-run", run);
    if (!text_of("statistic").empty()) {
        stats::StatsMgr::instance().setValue(text_of("statistic"), static_cast<int64_t>(7));
        stats::StatsMgr::instance().setValue(text_of("statistic") + "-text", std::string("seven"));
        stats::StatsMgr::instance().addValue("ncr-received", static_cast<int64_t>(100));
    }
    if (!text_of("remove").empty()) {
        CommandMgr::instance().deregisterCommand(text_of("remove"));
    }
    if (!text_of("register").empty()) {
        CommandMgr::instance().registerCommand(text_of("register"), answer);
    }
    return 0;
}

int unload() {
    if (!text_of("register").empty() && text_of("keep").empty()) {
        CommandMgr::instance().deregisterCommand(text_of("register"));
    }
    parameters.reset();
    return 0;
}
}
