/*
 * Requests over HTTP at the hook points http_auth and http_response, which Kea has since 3.0. With an earlier Kea
 * all of this fails.
 *
 * A request is a map with method, path, version, headers, body, remote-address, user and tls; a response is a map
 * with status, headers (those beside Kea's own) and body.
 *
 * Only the hook thread uses it. Callouts of Python and C read and set requests and responses with slots.h.
 */
#ifndef PYD2_KEA_HTTP_H
#define PYD2_KEA_HTTP_H

#include "elements.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C interface */

/* A request with the use of hooks that its callouts share. kb_http_end(). */
typedef struct kb_http kb_http;

/* Make a request of a map; no callout runs yet. NULL on failure. */
kb_http* kb_http_begin(const kb_element* request);

/*
 * Run http_auth. `refusal` is a response or NULL. *request and *response are new handles on what the callouts leave,
 * *response NULL for none. If the status is not CONTINUE, the use ends. -1 on failure.
 */
int kb_http_auth(kb_http* http, const kb_element* refusal, kb_element** request, kb_element** response);

/* Run http_response: *response is replaced by a new handle on what the callouts leave, NULL for none. -1 on failure. */
int kb_http_response(kb_http* http, kb_element** response);

/* End the use and the request; NULL is allowed. */
void kb_http_end(kb_http* http);

/* end of the C interface */
#ifdef __cplusplus
}

#include <hooks/callout_handle.h>

#include <string>

namespace pyd2 {

/* Read an argument that is a request or a response into a map, a null pointer for none; false: it is neither. */
bool read_http(isc::hooks::CalloutHandle& handle, const std::string& name, isc::data::ConstElementPtr& map);

/* Set an argument to a request or a response made of a map; a request keeps its object. Throws. */
void set_http_request(isc::hooks::CalloutHandle& handle, const std::string& name,
                      const isc::data::ConstElementPtr& map);
void set_http_response(isc::hooks::CalloutHandle& handle, const std::string& name,
                       const isc::data::ConstElementPtr& map);

}  // namespace pyd2
#endif
#endif
