#include "http.h"

#include "kea_abi.h"

#include <exceptions/exceptions.h>
#include <hooks/hooks_manager.h>
#include <hooks/server_hooks.h>

#include <memory>
#include <string>

#ifdef PYD2_KEA_HTTP

#include <http/http_types.h>
#include <http/post_request_json.h>
#include <http/response_json.h>

#include <cstdio>

using isc::data::ConstElementPtr;
using isc::data::Element;
using isc::data::ElementPtr;
using isc::hooks::CalloutHandle;
using isc::hooks::CalloutHandlePtr;
using isc::hooks::HooksManager;
using isc::hooks::ServerHooks;
using isc::http::HttpHeaderContext;
using isc::http::HttpRequest;
using isc::http::HttpRequestPtr;
using isc::http::HttpResponseJson;
using isc::http::HttpResponseJsonPtr;
using isc::http::HttpStatusCode;
using isc::http::HttpVersion;
using isc::http::PostHttpRequestJson;
using isc::http::PostHttpRequestJsonPtr;

/* Kea's object records the user only if a library asks for that; so the user is beside it. */
struct kb_http {
    HttpRequestPtr request;
    std::string user;
};

namespace {

/* The request whose callouts run, and the user whom callouts may change. */
kb_http* current = nullptr;

class Running {
public:
    explicit Running(kb_http* http) { current = http; }
    ~Running() { current = nullptr; }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
};

ConstElementPtr member(const ConstElementPtr& map, const char* name) {
    const ConstElementPtr value = map->get(name);
    if (!value) {
        isc_throw(isc::BadValue, "a request or a response over HTTP lacks " << name);
    }
    return value;
}

std::string text_of(const ConstElementPtr& map, const char* name) {
    return member(map, name)->stringValue();
}

/* Return a member of a map; a null pointer for null or none. */
ConstElementPtr value_of(const ConstElementPtr& map, const char* name) {
    const ConstElementPtr value = map->get(name);
    return value && value->getType() == Element::null ? ConstElementPtr() : value;
}

ElementPtr or_null(const ConstElementPtr& value) {
    return value ? boost::const_pointer_cast<Element>(value) : Element::create();
}

void fill(PostHttpRequestJson& request, const ConstElementPtr& map) {
    request.reset();
    const auto& context = request.context();
    context->method_ = text_of(map, "method");
    context->uri_ = text_of(map, "path");
    context->http_version_major_ = 1;
    context->http_version_minor_ = 0;
    std::sscanf(text_of(map, "version").c_str(), "%u.%u", &context->http_version_major_,
                &context->http_version_minor_);
    context->headers_.clear();
    for (const auto& header : member(map, "headers")->mapValue()) {
        context->headers_.push_back(HttpHeaderContext(header.first, header.second->stringValue()));
    }
    context->body_.clear();
    request.create();
    request.setBodyAsJson(value_of(map, "body"));
    request.finalize();
    request.setRemote(text_of(map, "remote-address"));
    request.setTls(member(map, "tls")->boolValue());
    if (HttpRequest::recordBasicAuth_) {
        request.setBasicAuth(text_of(map, "user"));
    }
}

/* Kea stores names of request headers as they came; callouts find them in any case. */
std::string lower(std::string name) {
    for (char& octet : name) {
        octet = octet >= 'A' && octet <= 'Z' ? static_cast<char>(octet + ('a' - 'A')) : octet;
    }
    return name;
}

ElementPtr describe_request(const HttpRequest& request) {
    const auto& context = request.context();
    const ElementPtr map = Element::createMap();
    map->set("method", Element::create(context->method_));
    map->set("path", Element::create(context->uri_));
    map->set("version", Element::create(std::to_string(context->http_version_major_) + "." +
                                        std::to_string(context->http_version_minor_)));
    const ElementPtr headers = Element::createMap();
    for (const HttpHeaderContext& header : context->headers_) {
        headers->set(lower(header.name_), Element::create(header.value_));
    }
    map->set("headers", headers);
    const auto* json = dynamic_cast<const PostHttpRequestJson*>(&request);
    map->set("body", or_null(json != nullptr ? json->getBodyAsJson() : ConstElementPtr()));
    map->set("remote-address", Element::create(request.getRemote()));
    map->set("user", Element::create(current != nullptr ? current->user : std::string()));
    map->set("tls", Element::create(request.getTls()));
    return map;
}

HttpResponseJsonPtr make_response(const ConstElementPtr& map, const HttpVersion& version) {
    if (!map) {
        return HttpResponseJsonPtr();
    }
    // Kea's class knows few numbers; the context takes all.
    const HttpResponseJsonPtr response(
        new HttpResponseJson(version, HttpStatusCode::OK, isc::http::CallSetGenericBody::no()));
    const auto status = static_cast<unsigned int>(member(map, "status")->intValue());
    response->context()->status_code_ = status;
    try {
        response->context()->phrase_ = HttpResponseJson::statusCodeToString(static_cast<HttpStatusCode>(status));
    } catch (const isc::Exception&) {
        response->context()->phrase_.clear();
    }
    for (const auto& header : member(map, "headers")->mapValue()) {
        response->context()->headers_.push_back(HttpHeaderContext(header.first, header.second->stringValue()));
    }
    response->setBodyAsJson(value_of(map, "body"));
    response->finalize();
    return response;
}

ElementPtr describe_response(HttpResponseJson& response) {
    if (!response.isFinalized()) {
        response.finalize();
    }
    const ElementPtr map = Element::createMap();
    map->set("status", Element::create(static_cast<int64_t>(response.context()->status_code_)));
    const ElementPtr headers = Element::createMap();
    for (const HttpHeaderContext& header : response.context()->headers_) {
        const std::string name = lower(header.name_);
        if (name != "content-type" && name != "content-length" && name != "date") {
            headers->set(header.name_, Element::create(header.value_));
        }
    }
    map->set("headers", headers);
    map->set("body", or_null(response.getBodyAsJson()));
    return map;
}

/* Run the callouts of a point, if there are any; returns whether the status is still CONTINUE. */
bool run(kb_http& http, const char* hook, const ConstElementPtr& given, HttpResponseJsonPtr& response) {
    response = make_response(given, http.request->getHttpVersion());
    const int number = ServerHooks::getServerHooks().findIndex(hook);
    if (number < 0 || !HooksManager::calloutsPresent(number)) {
        return true;
    }
    const CalloutHandlePtr handle = http.request->getCalloutHandle();
    const isc::hooks::ScopedCalloutHandleState state(handle);
    const Running running(&http);
    handle->setArgument("request", http.request);
    handle->setArgument("response", response);
    HooksManager::callCallouts(number, *handle);
    HttpRequestPtr request;
    handle->getArgument("request", request);
    if (request) {
        http.request = request;
    }
    handle->getArgument("response", response);
    return handle->getStatus() == CalloutHandle::NEXT_STEP_CONTINUE;
}

}  // namespace

namespace pyd2 {

bool read_http(CalloutHandle& handle, const std::string& name, ConstElementPtr& map) {
    map.reset();
    try {
        HttpRequestPtr request;
        handle.getArgument(name, request);
        if (request) {
            map = describe_request(*request);
        }
        return true;
    } catch (const boost::bad_any_cast&) {
    }
    try {
        HttpResponseJsonPtr response;
        handle.getArgument(name, response);
        if (response) {
            map = describe_response(*response);
        }
        return true;
    } catch (const boost::bad_any_cast&) {
        return false;
    }
}

void set_http_request(CalloutHandle& handle, const std::string& name, const ConstElementPtr& map) {
    HttpRequestPtr request;
    handle.getArgument(name, request);
    PostHttpRequestJsonPtr json = boost::dynamic_pointer_cast<PostHttpRequestJson>(request);
    if (!json) {
        json.reset(new PostHttpRequestJson());
    }
    PostHttpRequestJson complete;
    fill(complete, map);  // throws for a map that is not, and then the request stays
    fill(*json, map);
    if (current != nullptr) {
        current->user = text_of(map, "user");
    }
    handle.setArgument(name, HttpRequestPtr(json));
}

void set_http_response(CalloutHandle& handle, const std::string& name, const ConstElementPtr& map) {
    const HttpVersion version = current != nullptr ? current->request->getHttpVersion() : HttpVersion::HTTP_11();
    handle.setArgument(name, make_response(map, version));
}

}  // namespace pyd2

kb_http* kb_http_begin(const kb_element* request) {
    return pyd2::guarded<kb_http*>(nullptr, [&] {
        const ConstElementPtr map = pyd2::unwrap(request);
        const PostHttpRequestJsonPtr made(new PostHttpRequestJson());
        fill(*made, map);
        return new kb_http{made, text_of(map, "user")};
    });
}

int kb_http_auth(kb_http* http, const kb_element* refusal, kb_element** request, kb_element** response) {
    return pyd2::guarded(-1, [&] {
        HttpResponseJsonPtr left;
        const bool goes_on = run(*http, "http_auth", pyd2::unwrap(refusal), left);
        std::unique_ptr<kb_element> described;
        {
            const Running running(http);
            described.reset(pyd2::wrap(describe_request(*http->request)));
        }
        *response = left ? pyd2::wrap(describe_response(*left)) : nullptr;
        *request = described.release();
        if (!goes_on) {
            http->request->resetCalloutHandle();
        }
        return 0;
    });
}

int kb_http_response(kb_http* http, kb_element** response) {
    return pyd2::guarded(-1, [&] {
        HttpResponseJsonPtr left;
        run(*http, "http_response", pyd2::unwrap(*response), left);
        *response = left ? pyd2::wrap(describe_response(*left)) : nullptr;
        return 0;
    });
}

void kb_http_end(kb_http* http) {
    pyd2::guarded(0, [&] {
        delete http;
        return 0;
    });
}

#else  /* Kea 2.6 */

struct kb_http {};

namespace {

const char* const without = "this Kea has no hook points for requests over HTTP";

}  // namespace

namespace pyd2 {

bool read_http(isc::hooks::CalloutHandle&, const std::string&, isc::data::ConstElementPtr&) {
    return false;
}

void set_http_request(isc::hooks::CalloutHandle&, const std::string&, const isc::data::ConstElementPtr&) {
    isc_throw(isc::NotImplemented, without);
}

void set_http_response(isc::hooks::CalloutHandle&, const std::string&, const isc::data::ConstElementPtr&) {
    isc_throw(isc::NotImplemented, without);
}

}  // namespace pyd2

kb_http* kb_http_begin(const kb_element*) {
    pyd2::set_error(without);
    return nullptr;
}

int kb_http_auth(kb_http*, const kb_element*, kb_element**, kb_element**) {
    pyd2::set_error(without);
    return -1;
}

int kb_http_response(kb_http*, kb_element**) {
    pyd2::set_error(without);
    return -1;
}

void kb_http_end(kb_http*) {}

#endif
