/*
 * The IO services of compiled libraries: their timers and sockets, run by the daemon's loop.
 *
 * A library registers its own services with Kea's IOServiceMgr, or uses the server's (`io_context`). Each has
 * an epoll descriptor, which becomes readable when it has work. All of it is used by the loop's thread only.
 */
#ifndef PYD2_KEA_IO_H
#define PYD2_KEA_IO_H

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C face */

/*
 * Do the work that is due in all services. Returns how many handlers ran, 0 when nothing was due; after a
 * bounded number of rounds it returns although there is more. -1 when a handler threw: the text is its own,
 * and the rest is done at the next call. A library that stops the server's service stops nothing: it is
 * restarted, for others depend on it.
 */
int kb_io_poll(void);

/* The same once, and without the server's own service: what Kea does when a configuration was accepted. */
int kb_io_poll_registered(void);

/*
 * Write the descriptors to wait for, at most `most`, and return how many there are; -1 on failure. They change
 * whenever libraries run.
 */
int kb_io_descriptors(int* descriptors, size_t most);

/* end of the C face */
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
