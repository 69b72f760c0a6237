/* NameChangeRequests, in the form in which kea-dhcp4 and kea-dhcp6 send them. */
#ifndef LOAD_REQUESTS_H
#define LOAD_REQUESTS_H

#include "hosts.h"
#include "options.h"

enum { REQUEST_MAX = 512 };

/* Whether a host's request is a removal. */
bool request_removes(const load_options *options, uint32_t host);

/* Prepare to write requests. */
void requests_prepare(const load_options *options);

/* Write a host's request with its length in front; return the size of the datagram. */
size_t request_write(const host_plan *plan, bool removes, uint32_t host, uint8_t buffer[REQUEST_MAX]);

#endif
