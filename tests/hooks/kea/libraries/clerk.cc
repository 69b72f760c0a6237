// A hook library for the tests, compiled against Kea alone, that answers commands in every way there is, also in place
// of the server's own, watches all of them, and keeps statistics: its own of every type, and the server's.
#include <cc/command_interpreter.h>
#include <cc/data.h>
#include <config/cmds_impl.h>
#include <exceptions/exceptions.h>
#include <hooks/server_hooks.h>
#include <stats/stats_mgr.h>

#include <chrono>
#include <stdexcept>
#include <string>

#define MESSAGE_ID "PROBE_CLERK"
#define LOGGER "clerk"
#include "says.h"

using namespace isc;
using data::ConstElementPtr;
using data::Element;
using data::ElementPtr;
using hooks::CalloutHandle;
using hooks::LibraryHandle;
using stats::StatsMgr;

namespace {

// Commands.

int answer_all(CalloutHandle& handle) {
    ConstElementPtr command;
    ConstElementPtr before;
    handle.getArgument("command", command);
    handle.getArgument("response", before);
    say(handle.getHookName(), command->str());
    handle.setArgument("response",
                       config::createAnswer(0, handle.getHookName() + (before ? " again" : " is answered")));
    return 0;
}

int amend(CalloutHandle& handle) {
    ConstElementPtr response;
    handle.getArgument("response", response);
    boost::const_pointer_cast<Element>(response)->set("amended", Element::create(true));
    handle.setStatus(CalloutHandle::NEXT_STEP_SKIP);
    return 1;
}

template <int Which>
int answer_oddly(CalloutHandle& handle) {
    static const char* const answers[] = {"[ 1, \"two\", { \"three\": 3.0 } ]", "\"a text\"", "{ \"no\": \"result\" }"};
    handle.setArgument("response", ConstElementPtr(Element::fromJSON(answers[Which])));
    return 0;
}

int answer_null(CalloutHandle& handle) {
    handle.setArgument("response", ConstElementPtr());
    return 0;
}

int answer_nothing(CalloutHandle&) {
    return 0;
}

int answer_and_throw(CalloutHandle& handle) {
    handle.setArgument("response", config::createAnswer(0, "before it threw"));
    isc_throw(BadValue, "the command went wrong");
}

int only_throw(CalloutHandle&) {
    throw std::runtime_error("the command went wrong from the start");
}

// As libraries do that use Kea's own helper.
class Helper : private config::CmdsImpl {
public:
    int run(CalloutHandle& handle) {
        try {
            extractCommand(handle);
            setSuccessResponse(handle, cmd_name_ + " with " + (cmd_args_ ? cmd_args_->str() : "nothing"));
        } catch (const std::exception& error) {
            setErrorResponse(handle, error.what());
            return 1;
        }
        return 0;
    }
};

int use_helper(CalloutHandle& handle) {
    return Helper().run(handle);
}

// Statistics.

int bump(CalloutHandle& handle) {
    StatsMgr& manager = StatsMgr::instance();
    manager.addValue("clerk.count", static_cast<int64_t>(1));
    manager.addValue("clerk.float", 0.5);
    manager.setValue("clerk.text", std::string("a \"text\""));
    manager.setValue("clerk.time", stats::StatsDuration(std::chrono::seconds(3725)));
    manager.addValue("update-sent", static_cast<int64_t>(100));
    const ElementPtr seen = Element::createMap();
    seen->set("sent", data::copy(manager.get("update-sent")));
    handle.setArgument("response", config::createAnswer(0, "bumped", seen));
    return 0;
}

int set_sample_count(CalloutHandle& handle) {
    ConstElementPtr command;
    ConstElementPtr arguments;
    handle.getArgument("command", command);
    const std::string name = config::parseCommand(arguments, command);
    handle.setArgument("response", StatsMgr::statisticSetMaxSampleCountHandler(name, arguments));
    return 0;
}

// Callouts that are registered and deregistered.

template <int Number>
int select(CalloutHandle&) {
    say("select", Number);
    return Number;
}

void register_at_select_key(LibraryHandle& handle) {
    for (const hooks::CalloutPtr callout : {select<0>, select<1>, select<0>, select<2>}) {
        handle.registerCallout("select_key", callout);
    }
    say("deregister", handle.deregisterCallout("select_key", select<1>));
    say("deregister", handle.deregisterCallout("select_key", select<1>));
    handle.registerCommandCallout("clerk-gone", answer_all);
    say("deregister", handle.deregisterAllCallouts("$clerk_gone"));
    say("deregister", handle.deregisterAllCallouts("$clerk_gone"));
    for (const char* const name : {"no_such_hook", "lease4_select", ""}) {
        try {
            handle.registerCallout(name, select<0>);
        } catch (const std::exception& error) {
            say("register", error.what());
        }
    }
}

}  // namespace

extern "C" {

int multi_threading_compatible() {
    return 0;
}

int select_key(CalloutHandle& handle) {
    say("select by name", handle.getCurrentLibrary());
    return 0;
}

int command_processed(CalloutHandle& handle) {
    std::string name;
    ConstElementPtr arguments;
    ConstElementPtr response;
    handle.getArgument("name", name);
    handle.getArgument("arguments", arguments);
    handle.getArgument("response", response);
    for (const std::string& argument : handle.getArgumentNames()) {
        say("argument", argument);
    }
    say(name, (arguments ? arguments->str() : "nothing") + " " + (response ? response->str() : "unanswered"));
    if (name == "clerk-turn") {
        handle.setArgument("response", config::createAnswer(1, "turned"));
    } else if (name == "clerk-throw-later") {
        isc_throw(Unexpected, "after the command");
    }
    return 0;
}

int load(LibraryHandle& handle) {
    for (const char* const name : {"version-get", "status-get", "list-commands", "build-report", "Upper-Case", "a_b",
                                   "statistic-reset-all", "clerk-turn", "clerk-throw-later"}) {
        handle.registerCommandCallout(name, answer_all);
    }
    handle.registerCommandCallout("clerk-two-steps", answer_all);
    handle.registerCommandCallout("clerk-two-steps", amend);
    handle.registerCommandCallout("clerk-list", answer_oddly<0>);
    handle.registerCommandCallout("clerk-text", answer_oddly<1>);
    handle.registerCommandCallout("clerk-no-result", answer_oddly<2>);
    handle.registerCommandCallout("clerk-null", answer_null);
    handle.registerCommandCallout("clerk-nothing", answer_nothing);
    handle.registerCommandCallout("clerk-throw", answer_and_throw);
    handle.registerCommandCallout("clerk-only-throw", only_throw);
    handle.registerCommandCallout("clerk-helper", use_helper);
    handle.registerCommandCallout("clerk-bump", bump);
    handle.registerCommandCallout("statistic-sample-count-set", set_sample_count);
    register_at_select_key(handle);
    StatsMgr::instance().setValue("clerk.count", static_cast<int64_t>(0));
    StatsMgr::instance().setMaxSampleCount("clerk.count", 3);
    for (const std::string& name : hooks::ServerHooks::getServerHooks().getHookNames()) {
        say("hook", name);
    }
    return 0;
}

int unload() {
    StatsMgr::instance().del("clerk.float");
    say("unload", 0);
    return 0;
}
}
