/* UPDATE messages, built from prepared templates and zones (RFC 2136; contract, section 6). */
#ifndef PYD2_WIRE_UPDATE_H
#define PYD2_WIRE_UPDATE_H

#include <stddef.h>
#include <stdint.h>

#include "name.h"

enum { WIRE_RECORDS_MAX = 8 };

/* What the data of a record is. */
enum wire_data { WIRE_DATA_NONE, WIRE_DATA_ADDRESS, WIRE_DATA_DHCID, WIRE_DATA_TARGET };

/* A record of an UPDATE; its owner is that of the whole step. */
typedef struct {
    uint16_t type; /* 0: A or AAAA, by the address */
    uint16_t rrclass;
    uint8_t data;     /* enum wire_data */
    uint8_t with_ttl; /* whether the TTL is the request's; else it is 0 */
} wire_record;

/* The prerequisites and, behind them, the updates of one step. */
typedef struct {
    uint8_t prerequisites;
    uint8_t updates;
    wire_record records[WIRE_RECORDS_MAX];
} wire_template;

/*
 * Write an UPDATE message with query ID 0 and without TSIG. The owner is a name on the wire; with an owner of
 * no octets it is the reverse name of the address. The target, a name on the wire, is what PTR records point
 * to. Returns the message's size or an enum wire_error.
 */
int wire_update_write(const wire_template *update, const wire_name *zone, const uint8_t *owner,
                      size_t owner_size, const uint8_t *target, size_t target_size, const uint8_t *address,
                      size_t address_size, const uint8_t *dhcid, size_t dhcid_size, uint32_t ttl,
                      uint8_t *buffer, size_t buffer_size);

#endif
