/* Requests as the engine holds them: one octet string, with what the hot path asks for at fixed places. */
#ifndef PYD2_WIRE_PACKED_H
#define PYD2_WIRE_PACKED_H

#include <stddef.h>
#include <stdint.h>

#include "request.h"

/*
 * What a packed request begins with; its DHCID follows, then its FQDN on the wire. There is no padding: Python
 * reads and writes it, too (pyd2/packets/packed.py).
 */
typedef struct {
    uint64_t number; /* that of the durable queue, 0: none */
    uint32_t lease_length;
    uint32_t forward; /* the number of its forward domain, 0: none */
    uint32_t reverse; /* the same for the reverse domain */
    uint8_t kind; /* below WIRE_REQUEST_KINDS */
    uint8_t ways; /* 1: forward change, 2: reverse change */
    uint16_t dhcid_size;
    uint8_t fqdn_size;
    uint8_t address_size;
    uint8_t expires[14];
    uint8_t address[16];
    double read_at; /* when it was read, in monotonic seconds; 0: that was not noted */
} wire_packed;

enum {
    WIRE_FORWARD = 1,
    WIRE_REVERSE = 2,
    WIRE_PACKED_MAX = 64 /* of a wire_packed */ + WIRE_DHCID_MAX + WIRE_NAME_MAX /* octets of the longest that is made here */
};

/* The domains of a configuration, ready to be found. */
typedef struct wire_domains wire_domains;

/* What kind of text names a domain. */
enum wire_domain_kind {
    WIRE_DOMAIN_NAME,    /* of a forward domain: its name in lower case, with its final dot */
    WIRE_DOMAIN_OCTETS,  /* of a reverse domain: the octets that its IPv4 addresses begin with */
    WIRE_DOMAIN_NIBBLES, /* the same for IPv6: hexadecimal digits in lower case */
    WIRE_DOMAIN_KINDS
};

/* Return a table for a number of domains, with those that match what no other does (0: none); null: no memory. */
wire_domains *wire_domains_new(size_t count, uint32_t forward_wildcard, uint32_t reverse_wildcard);
void wire_domains_free(wire_domains *domains);

/*
 * Add one of them. A text beyond 255 octets can match nothing and is left out. Returns 0; WIRE_NO_SPACE if the table
 * is full; WIRE_UNUSUAL for a kind that is none, and for the number 0, which stands for none.
 */
int wire_domains_add(wire_domains *domains, int kind, const uint8_t *text, size_t size, uint32_t number);

/*
 * Set the domains of a packed request whose FQDN has plain characters only: names stand there in the text of
 * the configuration. Returns 0, or an enum wire_error for a request that is none of those.
 */
int wire_match(const wire_domains *domains, uint8_t *packed, size_t size);

/*
 * Read datagrams that stand `stride` octets apart (0: one directly behind the other), and leave the packed and
 * matched requests one behind the other in `packed`. `packed_sizes` has their sizes, 0 where the datagram
 * needs a second look, or its request does not fit into what is left of the `packed_size_max` octets there. `numbers` are
 * those of the durable queue; null: they have none.
 */
void wire_requests_read(const wire_domains *domains, const uint8_t *datagrams, size_t stride, const uint32_t *sizes,
                        const uint64_t *numbers, size_t count, uint8_t *packed, size_t packed_size_max,
                        uint32_t *packed_sizes);

#endif
