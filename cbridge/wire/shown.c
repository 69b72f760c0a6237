#include "shown.h"

#include <arpa/inet.h>
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
        const uint8_t *label = wire_read_octets(name, size);
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

static void put_number(wire_writer *writer, uint32_t number) {
    char digits[sizeof "4294967295"];
    char *first = digits + sizeof digits;
    do {
        *--first = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    wire_put(writer, first, (size_t)(digits + sizeof digits - first));
}

static bool put_address(wire_writer *writer, const wire_packed *request) {
    if (request->address_size == 4) {
        for (size_t i = 0; i < 4; i++) {
            put_text(writer, i > 0 ? "." : "");
            put_number(writer, request->address[i]);
        }
        return true;
    }
    char address[INET6_ADDRSTRLEN];
    if (inet_ntop(AF_INET6, request->address, address, sizeof address) == NULL) {
        return false;
    }
    put_text(writer, address);
    return true;
}

/* The parts of a packed request. */
typedef struct {
    wire_packed head;
    wire_reader dhcid;
    wire_reader fqdn;
} request_parts;

static bool read_parts(wire_reader *packed, request_parts *parts) {
    const uint8_t *octets = wire_read_octets(packed, sizeof parts->head);
    if (octets == NULL) {
        return false;
    }
    memcpy(&parts->head, octets, sizeof parts->head);
    if (parts->head.kind >= WIRE_REQUEST_KINDS) {
        return false;
    }
    const uint8_t *dhcid = wire_read_octets(packed, parts->head.dhcid_size);
    const uint8_t *fqdn = wire_read_octets(packed, parts->head.fqdn_size);
    if (dhcid == NULL || fqdn == NULL) {
        return false;
    }
    parts->dhcid = wire_read_from(dhcid, parts->head.dhcid_size);
    parts->fqdn = wire_read_from(fqdn, parts->head.fqdn_size);
    return true;
}

static bool put_request(wire_writer *writer, const request_parts *parts) {
    static const char *const types[WIRE_CHANGE_TYPES] = {
        [WIRE_ADD] = "Type: 0 (CHG_ADD)",
        [WIRE_REMOVE] = "Type: 1 (CHG_REMOVE)",
    };
    static const char *const modes[WIRE_MODES] = {
        [WIRE_CHECK_WITH_DHCID] = "check-with-dhcid",
        [WIRE_NO_CHECK_WITH_DHCID] = "no-check-with-dhcid",
        [WIRE_CHECK_EXISTS_WITH_DHCID] = "check-exists-with-dhcid",
        [WIRE_NO_CHECK_WITHOUT_DHCID] = "no-check-without-dhcid",
    };
    const wire_packed *head = &parts->head;
    wire_reader fqdn = parts->fqdn;
    wire_reader dhcid = parts->dhcid;
    put_text(writer, types[head->kind / WIRE_MODES]);
    put_text(writer, head->ways & WIRE_FORWARD ? "\nForward Change: yes" : "\nForward Change: no");
    put_text(writer, head->ways & WIRE_REVERSE ? "\nReverse Change: yes" : "\nReverse Change: no");
    put_text(writer, "\nFQDN: [");
    put_name(writer, &fqdn);
    put_text(writer, "]\nIP Address: [");
    if (!put_address(writer, head)) {
        return false;
    }
    put_text(writer, "]\nDHCID: [");
    put_hexadecimal(writer, &dhcid);
    put_text(writer, "]\nLease Expires On: ");
    wire_put(writer, head->expires, sizeof head->expires);
    put_text(writer, "\nLease Length: ");
    put_number(writer, head->lease_length);
    put_text(writer, "\nConflict Resolution Mode: ");
    put_text(writer, modes[head->kind % WIRE_MODES]);
    put_text(writer, "\n");
    return !fqdn.missing && wire_left(&fqdn) == 0;
}

int wire_request_show(const uint8_t *packed, size_t size, uint8_t *text, size_t capacity) {
    wire_reader reader = wire_read_from(packed, size);
    wire_writer writer = wire_write_to(text, capacity);
    request_parts parts;
    if (!read_parts(&reader, &parts) || wire_left(&reader) > 0 || !put_request(&writer, &parts)) {
        return WIRE_UNUSUAL;
    }
    return writer.full ? WIRE_NO_SPACE : (int)wire_written(&writer);
}

int wire_requests_show(const uint8_t *packed, size_t size, const wire_line *line, uint8_t *text, size_t capacity,
                       uint32_t *ends, size_t count) {
    wire_reader reader = wire_read_from(packed, size);
    wire_writer writer = wire_write_to(text, capacity);
    int lines = 0;
    while (wire_left(&reader) > 0 && (size_t)lines < count) {
        request_parts parts;
        if (!read_parts(&reader, &parts)) {
            return WIRE_UNUSUAL;
        }
        wire_reader dhcid = parts.dhcid;
        wire_put(&writer, line->before, line->before_size);
        put_hexadecimal(&writer, &dhcid);
        wire_put(&writer, line->between, line->between_size);
        if (!put_request(&writer, &parts)) {
            return WIRE_UNUSUAL;
        }
        wire_put(&writer, line->after, line->after_size);
        if (writer.full) {
            return lines;
        }
        ends[lines++] = (uint32_t)wire_written(&writer);
    }
    return lines;
}
