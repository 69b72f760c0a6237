// A library at the hook points of requests over HTTP (Kea 3.0): it says what it sees, and its parameters say what it
// does. `auth`: skip, let-in, refuse, body or own-class; `response`: change, replace or none.
#include <cc/data.h>
#include <http/post_request_json.h>
#include <http/response_json.h>

#include <string>

#define MESSAGE_ID "PROBE_HTTP"
#define LOGGER "http-probe"
#include "says.h"

using namespace isc;
using data::ConstElementPtr;
using data::Element;
using data::ElementPtr;
using hooks::CalloutHandle;
using http::HttpRequestPtr;
using http::HttpResponseJson;
using http::HttpResponseJsonPtr;
using http::HttpStatusCode;
using http::HttpVersion;
using http::PostHttpRequestJson;

namespace {

std::string auth_action, response_action;

/* A response whose code is in this library. */
class OwnResponse : public HttpResponseJson {
public:
    OwnResponse() : HttpResponseJson(HttpVersion(1, 1), HttpStatusCode::FORBIDDEN) {}
    ~OwnResponse() override { say("response", "of its own class ends"); }
};

ConstElementPtr answer(int result, const std::string& text) {
    const ElementPtr map = Element::createMap();
    map->set("result", Element::create(result));
    map->set("text", Element::create(text));
    return map;
}

std::string text_of(const HttpResponseJsonPtr& response) {
    if (!response) {
        return "none";
    }
    return std::to_string(static_cast<int>(response->getStatusCode())) + " " + response->getBodyAsJson()->str();
}

std::string text_of(const HttpRequestPtr& request) {
    const auto json = boost::dynamic_pointer_cast<PostHttpRequestJson>(request);
    const ConstElementPtr body = json->getBodyAsJson();
    return std::to_string(static_cast<int>(request->getMethod())) + " " + request->getUri() + " " +
           std::to_string(request->getHttpVersion().minor_) + " " + request->getHeaderValue("Content-Type") + " " +
           request->getRemote() + " tls " + std::to_string(request->getTls()) + " user '" + request->getBasicAuth() +
           "' " + (body ? body->str() : "no body");
}

}  // namespace

extern "C" {

int load(hooks::LibraryHandle& handle) {
    const ConstElementPtr auth = handle.getParameter("auth");
    const ConstElementPtr response = handle.getParameter("response");
    auth_action = auth ? auth->stringValue() : "";
    response_action = response ? response->stringValue() : "";
    say("hook", "load");
    return 0;
}

int context_create(CalloutHandle&) {
    say("hook", "context_create");
    return 0;
}

int context_destroy(CalloutHandle&) {
    say("hook", "context_destroy");
    return 0;
}

int http_auth(CalloutHandle& handle) {
    HttpRequestPtr request;
    HttpResponseJsonPtr response;
    handle.getArgument("request", request);
    handle.getArgument("response", response);
    say("http_auth", text_of(request) + ", response " + text_of(response));
    handle.setContext("seen", 1);
    if (auth_action == "skip") {
        handle.setStatus(CalloutHandle::NEXT_STEP_SKIP);
    } else if (auth_action == "let-in") {
        handle.setArgument("response", HttpResponseJsonPtr());
    } else if (auth_action == "refuse") {
        response.reset(new HttpResponseJson(HttpVersion(1, 1), HttpStatusCode::FORBIDDEN));
        response->finalize();
        handle.setArgument("response", response);
    } else if (auth_action == "own-class") {
        response.reset(new OwnResponse());
        response->finalize();
        handle.setArgument("response", response);
    } else if (auth_action == "body") {
        const ElementPtr command = Element::createMap();
        command->set("command", Element::create(std::string("version-get")));
        boost::dynamic_pointer_cast<PostHttpRequestJson>(request)->setBodyAsJson(command);
    }
    return 0;
}

int http_response(CalloutHandle& handle) {
    HttpRequestPtr request;
    HttpResponseJsonPtr response;
    handle.getArgument("request", request);
    handle.getArgument("response", response);
    int seen = 0;
    handle.getOptionalContext("seen", seen);
    say("http_response", text_of(request) + ", response " + text_of(response) + ", seen " +
        std::to_string(seen));
    if (response_action == "change") {
        const ElementPtr list = Element::createList();
        list->add(boost::const_pointer_cast<Element>(answer(0, "changed")));
        response->setBodyAsJson(list);
    } else if (response_action == "replace") {
        response.reset(new HttpResponseJson(HttpVersion(1, 1), HttpStatusCode::ACCEPTED));
        response->context()->headers_.push_back(http::HttpHeaderContext("X-Own", "yes"));
        response->setBodyAsJson(answer(0, "replaced"));
        response->finalize();
        handle.setArgument("response", response);
    } else if (response_action == "none") {
        handle.setArgument("response", HttpResponseJsonPtr());
    }
    return 0;
}

}
