// A hook library for the tests, compiled against Kea alone, that works beside the server: threads from configuration to
// unload, sockets and timers on its own service and on the server's, programs, updates and requests of its own, log
// messages of all sorts, and a hook point that others may attach to.
#include <asiolink/asio_wrapper.h>
#include <asiolink/interval_timer.h>
#include <asiolink/io_service.h>
#include <asiolink/io_service_mgr.h>
#include <asiolink/process_spawn.h>
#include <cc/command_interpreter.h>
#include <cc/data.h>
#include <d2srv/d2_tsig_key.h>
#include <d2srv/d2_update_message.h>
#include <d2srv/d2_zone.h>
#include <d2srv/dns_client.h>
#include <dhcp_ddns/ncr_udp.h>
#include <dns/rdataclass.h>
#include <dns/rrset.h>
#include <exceptions/exceptions.h>
#include <hooks/hooks_manager.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#define MESSAGE_ID "PROBE_WORKS"
#define LOGGER "worker"
#include "says.h"

using namespace isc;
using asiolink::IOAddress;
using asiolink::IOServiceMgr;
using asiolink::IOServicePtr;
using asiolink::IntervalTimer;
using asiolink::ProcessSpawn;
using boost::asio::ip::udp;
using d2::D2UpdateMessage;
using d2::D2UpdateMessagePtr;
using d2::DNSClient;
using data::ConstElementPtr;
using data::Element;
using data::ElementPtr;
using dhcp_ddns::NameChangeRequestPtr;
using dhcp_ddns::NameChangeSender;
using hooks::CalloutHandle;
using hooks::CalloutHandlePtr;
using hooks::HooksManager;
using hooks::LibraryHandle;

namespace {

const char* plain[] = {"PROBE_PLAIN", "nothing to fill in", nullptr};
const log::MessageInitializer plain_registered(plain);
log::Logger hooks_logger("hooks");
log::Logger below("worker.below");

// Written to and never closed: the end of the process does that.
std::ofstream left_open;

const int point = HooksManager::registerHook("probe_point");

ConstElementPtr parameters;
IOServicePtr main_service, service;
std::unique_ptr<IntervalTimer> timer, main_timer;
std::atomic<bool> leave;
std::thread thread;
int64_t ticks, main_ticks, posted, main_posted;

int64_t number_of(const std::string& name) {
    return parameters->get(name)->intValue();
}

// A UDP server on the library's own service.
std::unique_ptr<udp::socket> socket_;
udp::endpoint peer;
char datagram[512];

void receive() {
    socket_->async_receive_from(
        boost::asio::buffer(datagram), peer, [](const boost::system::error_code& error, size_t size) {
            if (!error) {
                socket_->send_to(boost::asio::buffer("echo " + std::string(datagram, size)), peer);
                receive();
            }
        });
}

// Programs.
std::unique_ptr<ProcessSpawn> spawned;
pid_t process;

int run_program(CalloutHandle& handle) {
    ConstElementPtr command;
    handle.getArgument("command", command);
    const bool wait = command->get("arguments") ? true : false;
    spawned.reset(new ProcessSpawn(wait ? ProcessSpawn::SYNC : ProcessSpawn::ASYNC, "/bin/sh",
                                   asiolink::ProcessArgs{"-c", "exit 7"}));
    process = spawned->spawn();
    handle.setArgument("response", config::createAnswer(wait ? spawned->getExitStatus(process) : 0, "has run"));
    return 0;
}

// An update and a request of the library's own.
class UpdateDone : public DNSClient::Callback {
public:
    void operator()(DNSClient::Status status) override {
        say("update", std::to_string(status) + " " + (response ? response->getRcode().toText() : "nothing"));
    }
    D2UpdateMessagePtr response;
};
UpdateDone update_done;
std::unique_ptr<DNSClient> client;

int send_update(CalloutHandle& handle) {
    D2UpdateMessage message(D2UpdateMessage::OUTBOUND);
    message.setZone(dns::Name("example.com."), dns::RRClass::IN());
    const dns::RRsetPtr rrset(
        new dns::RRset(dns::Name("library.example.com."), dns::RRClass::IN(), dns::RRType::A(), dns::RRTTL(60)));
    rrset->addRdata(dns::rdata::createRdata(dns::RRType::A(), dns::RRClass::IN(), "192.0.2.9"));
    message.addRRset(D2UpdateMessage::SECTION_UPDATE, rrset);
    say("rrset", rrset->toText());
    update_done.response.reset();
    client.reset(new DNSClient(update_done.response, &update_done, DNSClient::UDP));
    client->doUpdate(main_service, IOAddress("127.0.0.1"), static_cast<uint16_t>(number_of("dns-port")), message, 20000,
                     d2::D2TsigKeyPtr(new d2::D2TsigKey("own.:MDEyMzQ1Njc4OWFiY2RlZg==:hmac-sha256")));
    handle.setArgument("response", config::createAnswer(0, "sent"));
    return 0;
}

class Sent : public NameChangeSender::RequestSendHandler {
public:
    void operator()(const NameChangeSender::Result result, NameChangeRequestPtr& request) override {
        say("request", request->getFqdn() + " " + std::to_string(result));
    }
};
std::unique_ptr<dhcp_ddns::NameChangeUDPSender> sender;

int send_request(CalloutHandle& handle) {
    ConstElementPtr command;
    handle.getArgument("command", command);
    const auto port = static_cast<uint16_t>(command->get("arguments")->get("port")->intValue());
    sender.reset(new dhcp_ddns::NameChangeUDPSender(IOAddress("127.0.0.1"), 0, IOAddress("127.0.0.1"), port,
                                                    dhcp_ddns::FMT_JSON, boost::make_shared<Sent>()));
    sender->startSending(main_service);
    NameChangeRequestPtr request = dhcp_ddns::NameChangeRequest::fromJSON(
        "{ \"change-type\": 0, \"forward-change\": true, \"reverse-change\": false, \"fqdn\": \"asked.example.com.\","
        " \"ip-address\": \"192.0.2.10\", \"dhcid\": \"000101ABCDEF\", \"lease-expires-on\": \"20400121132405\","
        " \"lease-length\": 1300, \"use-conflict-resolution\": true }");
    sender->sendRequest(request);
    handle.setArgument("response", config::createAnswer(0, "queued"));
    return 0;
}

// Its own hook point.
int call_point(CalloutHandle& handle) {
    const CalloutHandlePtr own = HooksManager::createCalloutHandle();
    own->setArgument("text", std::string("begun"));
    own->setArgument("number", 21);
    own->setArgument("json", ConstElementPtr(Element::fromJSON("{ \"a\": 1 }")));
    HooksManager::callCallouts(point, *own);
    std::string text;
    own->getArgument("text", text);
    handle.setArgument("response", config::createAnswer(0, text));
    return 0;
}

// More than the server keeps of a thread's messages while its own thread is at work.
int flood(CalloutHandle& handle) {
    std::thread([] {
        for (int number = 0; number < 12000; ++number) {
            say("flood", number);
        }
    }).join();
    handle.setArgument("response", config::createAnswer(0, "flooded"));
    return 0;
}

int stop_service(CalloutHandle& handle) {
    main_service->stop();
    handle.setArgument("response", config::createAnswer(0, "stopped"));
    return 0;
}

int tell(CalloutHandle& handle) {
    // A thread of a callout's own: what it says comes before what the server says after the callout.
    std::thread([] { say("from a thread", "in a callout"); }).join();
    const ElementPtr answer = Element::createMap();
    for (const auto& count : {std::make_pair("ticks", ticks), std::make_pair("main-ticks", main_ticks),
                              std::make_pair("posted", posted), std::make_pair("main-posted", main_posted)}) {
        answer->set(count.first, Element::create(count.second));
    }
    if (spawned) {
        answer->set("exited", Element::create(spawned->isRunning(process) ? -1L : spawned->getExitStatus(process)));
    }
    handle.setArgument("response", config::createAnswer(0, "counted", answer));
    return 0;
}

void log_everything() {
    for (const int level : {0, 55, 99}) {
        LOG_DEBUG(logger, level, "PROBE_WORKS").arg("debug").arg(level);
    }
    LOG_WARN(logger, "PROBE_WORKS").arg("two\nlines").arg("a tab\t and \x01\x7f");
    LOG_ERROR(logger, "PROBE_WORKS").arg("\xff no UTF-8").arg("\xc3\xa9");
    LOG_FATAL(logger, "PROBE_WORKS").arg("%2 in an argument").arg("%1");
    LOG_INFO(below, "PROBE_PLAIN");
    LOG_INFO(logger, "PROBE_PLAIN").arg("more arguments than placeholders");
    LOG_INFO(logger, "PROBE_UNKNOWN").arg("an unregistered ID");
    // IDs of the server, which a library may not use.
    LOG_ERROR(hooks_logger, "HOOKS_LIBRARY_LOADED").arg("no library");
    LOG_WARN(logger, "DHCP_DDNS_STARTED").arg("9.9.9");
    log::Logger callouts("callouts");
    LOG_DEBUG(callouts, 55, "HOOKS_CALLOUT_CALLED").arg("a").arg("b").arg("c").arg("d");
    LOG_INFO(logger, "PROBE_WORKS").arg("long").arg(std::string(20000, 'x'));
}

}  // namespace

extern "C" {

int multi_threading_compatible() {
    return 1;
}

int probe_point(CalloutHandle& handle) {
    std::string text;
    handle.getArgument("text", text);
    handle.setArgument("text", text + ", seen by its maker");
    return 0;
}

int select_key(CalloutHandle&) {
    left_open << "selected\n";
    log_everything();
    return 0;
}

int d2_srv_configured(CalloutHandle& handle) {
    handle.getArgument("io_context", main_service);
    ticks = main_ticks = posted = main_posted = 0;
    service.reset(new asiolink::IOService());
    IOServiceMgr::instance().registerIOService(service);
    service->post([] { say("posted", "to its own service"); });
    ProcessSpawn::setIOService(main_service);
    const udp::endpoint here(boost::asio::ip::address_v4::loopback(), static_cast<uint16_t>(number_of("port")));
    socket_.reset(new udp::socket(service->getInternalIOService(), here));
    receive();
    timer.reset(new IntervalTimer(service));
    timer->setup([] { ++ticks; }, 10);
    main_timer.reset(new IntervalTimer(main_service));
    main_timer->setup([] { ++main_ticks; }, 10);
    leave = false;
    thread = std::thread([] {
        while (!leave) {
            service->post([] { ++posted; });
            main_service->post([] { ++main_posted; });
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    });
    return 0;
}

int load(LibraryHandle& handle) {
    parameters = handle.getParameters();
    if (!left_open.is_open() && parameters->get("file")) {
        left_open.open(parameters->get("file")->stringValue());
    }
    handle.registerCommandCallout("worker-tell", tell);
    handle.registerCommandCallout("worker-run", run_program);
    handle.registerCommandCallout("worker-update", send_update);
    handle.registerCommandCallout("worker-request", send_request);
    handle.registerCommandCallout("worker-point", call_point);
    handle.registerCommandCallout("worker-stop", stop_service);
    handle.registerCommandCallout("worker-flood", flood);
    return 0;
}

int unload() {
    leave = true;
    if (thread.joinable()) {
        thread.join();
    }
    client.reset();
    if (sender) {
        sender->stopSending();
        sender.reset();
    }
    timer.reset();
    main_timer.reset();
    spawned.reset();
    socket_.reset();
    if (service) {
        IOServiceMgr::instance().unregisterIOService(service);
        service->stopAndPoll();
        service.reset();
    }
    ProcessSpawn::setIOService(IOServicePtr());
    main_service.reset();
    parameters.reset();
    say("unload", 0);
    return 0;
}
}
