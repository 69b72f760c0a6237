/*
 * The IO services of compiled libraries: their timers and sockets, run by the main thread's loop.
 *
 * A library registers its own services with Kea's IOServiceMgr, or uses the server's (`io_context`). The epoll
 * descriptor of a service becomes readable when the service has work. Only the hook thread uses it.
 */
#ifndef PYD2_KEA_IO_H
#define PYD2_KEA_IO_H

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C interface */

/*
 * Run the handlers that are due in all services, in a bounded number of rounds. Returns how many ran; -1 if one threw:
 * the error is its text, and the next call runs the others. If a library stops the server's service, that is
 * restarted, because other libraries depend on it.
 */
int kb_io_poll(void);

/* The same in one round and without the server's service: what Kea does after accepting a configuration. */
int kb_io_poll_registered(void);

/*
 * Write the descriptors to wait for, at most `most`, and return how many exist; -1 on failure. They may change
 * whenever libraries run.
 */
int kb_io_descriptors(int* descriptors, size_t most);

/* end of the C interface */
#ifdef __cplusplus
}

#include <asiolink/io_service.h>

namespace pyd2 {

/* The server's own service, the argument `io_context`. */
isc::asiolink::IOServicePtr main_service();

/* Forget the services that libraries have registered. */
void clear_services();

}  // namespace pyd2
#endif
#endif
