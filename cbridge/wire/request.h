/* NameChangeRequests in the form in which the DHCP servers write them (contract, section 3). */
#ifndef PYD2_WIRE_REQUEST_H
#define PYD2_WIRE_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "name.h"

enum { WIRE_DATAGRAM_MAX = 4096, WIRE_DHCID_MAX = 2048 };

enum wire_change_type { WIRE_ADD, WIRE_REMOVE, WIRE_CHANGE_TYPES };

enum wire_mode {
    WIRE_CHECK_WITH_DHCID,
    WIRE_NO_CHECK_WITH_DHCID,
    WIRE_CHECK_EXISTS_WITH_DHCID,
    WIRE_NO_CHECK_WITHOUT_DHCID,
    WIRE_MODES
};

/* A request's kind is its change type * WIRE_MODES + its mode: RequestKind in pyd2/ncr.py has the same numbers. */
enum { WIRE_REQUEST_KINDS = WIRE_CHANGE_TYPES * WIRE_MODES };

/* A request. Its texts stay in the datagram, at these offsets. */
typedef struct {
    uint32_t lease_length;
    uint16_t fqdn_at;      /* the FQDN's text, without a final dot */
    uint16_t fqdn_size;
    uint16_t fqdn_wire_size;
    uint16_t address_at;
    uint16_t address_text_size;
    uint16_t dhcid_size;
    uint16_t lease_expires_on_at; /* 14 digits */
    uint8_t kind;
    uint8_t forward_change;
    uint8_t reverse_change;
    uint8_t address_size;  /* 4 or 16 */
    uint8_t address[16];
    uint8_t fqdn_wire[WIRE_NAME_MAX];
    uint8_t dhcid[WIRE_DHCID_MAX];
} wire_request;

/*
 * Read a datagram: two octets of length and as many of JSON. Only the very form that the DHCP servers write
 * is read: their fields in their order, with or without a blank after a colon or comma, and values that need
 * no second look. Returns 0 or an enum wire_error; after an error the request is in no defined state.
 */
int wire_request_read(wire_request *request, const uint8_t *datagram, size_t size);

#endif
