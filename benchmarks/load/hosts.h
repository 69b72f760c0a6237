/*
 * Hosts by number: their names, addresses and zones.
 *
 * One domain:  host N is hNNNNNNNN.bench.example, with 10.x.y.z or 2001:db8::N;
 * the zones are bench.example, 10.in-addr.arpa and 8.b.d.0.1.0.0.2.ip6.arpa.
 * More domains: host N belongs to domain D = N modulo their number, and is hNNNNNNNN.dD.bench.example, with
 * 10.(D / 256).(D modulo 256).x, which other hosts of the domain get again, or 2001:db8:D::N; the zones are
 * dD.bench.example, a /24 and a /48.
 */
#ifndef LOAD_HOSTS_H
#define LOAD_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "names.h"

typedef struct {
    uint32_t domains;
    bool ipv6;
} host_plan;

enum { HOST_TEXT_MAX = 64 };

/* Write a host's FQDN and address, as text that is ended by no zero; return their sizes. */
size_t host_fqdn(const host_plan *plan, uint32_t host, char text[HOST_TEXT_MAX]);
size_t host_address(const host_plan *plan, uint32_t host, char text[HOST_TEXT_MAX]);

/* Find the number of the host that owns a forward name. Returns false if no host does. */
bool host_of_fqdn(const wire_name *name, uint32_t *host);

/*
 * Find the host below `limit`, the highest of those, that owns a reverse name. Returns false if no host does.
 */
bool host_of_reverse(const host_plan *plan, const wire_name *name, uint32_t limit, uint32_t *host);

#endif
