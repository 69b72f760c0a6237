#include "shown.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "error.h"
#include "octets.h"
#include "packed.h"

static void put_text(wire_writer *writer, const char *text) {
    wire_put(writer, text, strlen(text));
}

/* Put a name that is spelled as it stands on the wire, with its final dot. */
static void put_name(wire_writer *writer, wire_reader *name) {
    uint8_t size;
    while ((size = (uint8_t)wire_get_uint(name, 1)) > 0) {
        const uint8_t *label = wire_take(name, size);
        if (label != NULL) {
            wire_put(writer, label, size);
        }
        put_text(writer, ".");
    }
}

static void put_hexadecimal(wire_writer *writer, wire_reader *octets) {
    static const char digits[] = "0123456789ABCDEF";
    while (wire_left(octets) > 0) {
        uint64_t octet = wire_get_uint(octets, 1);
        const char pair[] = {digits[octet >> 4], digits[octet & 15]};
        wire_put(writer, pair, sizeof pair);
    }
}

int wire_request_show(const uint8_t *packed, size_t size, uint8_t *text, size_t room) {
    wire_reader reader = wire_read_from(packed, size);
    wire_packed head;
    const uint8_t *octets = wire_take(&reader, sizeof head);
    if (octets == NULL) {
        return WIRE_UNUSUAL;
    }
    memcpy(&head, octets, sizeof head);
    const uint8_t *dhcid = wire_take(&reader, head.dhcid_size);
    char address[INET6_ADDRSTRLEN];
    char number[sizeof "4294967295"];
    int family = head.address_size == 4 ? AF_INET : AF_INET6;
    if (dhcid == NULL || inet_ntop(family, head.address, address, sizeof address) == NULL) {
        return WIRE_UNUSUAL;
    }
    snprintf(number, sizeof number, "%" PRIu32, head.lease_length);
    wire_reader id = wire_read_from(dhcid, head.dhcid_size);
    wire_writer writer = wire_write_to(text, room);
    put_text(&writer, "FQDN: [");
    put_name(&writer, &reader);
    put_text(&writer, "]\nIP Address: [");
    put_text(&writer, address);
    put_text(&writer, "]\nDHCID: [");
    put_hexadecimal(&writer, &id);
    put_text(&writer, "]\nLease Expires On: ");
    wire_put(&writer, head.expires, sizeof head.expires);
    put_text(&writer, "\nLease Length: ");
    put_text(&writer, number);
    put_text(&writer, "\n");
    if (reader.missing || wire_left(&reader) > 0) {
        return WIRE_UNUSUAL;
    }
    return writer.full ? WIRE_NO_ROOM : (int)wire_written(&writer);
}
