#include "request.h"

#include <arpa/inet.h>
#include <string.h>

#include "error.h"
#include "octets.h"

/* Move behind a literal, or stay. */
static bool skip(wire_reader *reader, const char *literal, size_t size) {
    if (size > wire_left(reader) || memcmp(reader->at, literal, size) != 0) {
        return false;
    }
    reader->at += size;
    return true;
}

#define SKIP(reader, literal) skip((reader), (literal), sizeof(literal) - 1)

/* What stands before a value: the blank is optional wherever one may be. */
#define FIELD(reader, name) (SKIP(reader, "\"" name "\":") && skip_blank(reader))
#define NEXT_FIELD(reader, name) (SKIP(reader, ",") && skip_blank(reader) && FIELD(reader, name))

static bool skip_blank(wire_reader *reader) {
    SKIP(reader, " ");
    return true;
}

static bool read_flag(wire_reader *reader, uint8_t *flag) {
    *flag = SKIP(reader, "true");
    return *flag || SKIP(reader, "false");
}

static bool is_digit(uint8_t octet) {
    return octet >= '0' && octet <= '9';
}

static int hex_value(uint8_t octet) {
    if (is_digit(octet)) {
        return octet - '0';
    }
    octet |= 0x20;
    return octet >= 'a' && octet <= 'f' ? octet - 'a' + 10 : -1;
}

/* The printable characters that stand for themselves in the text of a name; not the dot, which ends a label. */
static bool is_plain(uint8_t octet) {
    static const uint64_t plain[2] = {0xF7FFBCEA00000000, 0x7FFFFFFFEFFFFFFE};
    return octet < 128 && (plain[octet / 64] >> octet % 64 & 1);
}

/* Read the text of a name up to the quotation mark behind it. */
static bool read_fqdn(wire_reader *reader, const uint8_t *datagram, wire_request *request) {
    uint8_t *wire = request->fqdn_wire;
    const uint8_t *begin = reader->at;
    size_t length_at = 0;
    size_t used = 1;
    bool final_dot = false;
    for (; reader->at < reader->end && *reader->at != '"'; reader->at++) {
        uint8_t octet = *reader->at;
        if (final_dot) {
            /* The dot was not the last character, so another label begins. */
            length_at = used++;
            final_dot = false;
        }
        if (octet == '.') {
            if (used - length_at == 1) {
                return false;
            }
            wire[length_at] = (uint8_t)(used - length_at - 1);
            final_dot = true;
        } else if (!is_plain(octet) || used - length_at > 63 || used >= WIRE_NAME_MAX - 1) {
            return false;
        } else {
            wire[used++] = octet;
        }
    }
    if (!final_dot) {
        if (used - length_at == 1) {
            return false;
        }
        wire[length_at] = (uint8_t)(used - length_at - 1);
    }
    wire[used++] = 0;
    request->fqdn_wire_size = (uint16_t)used;
    request->fqdn_at = (uint16_t)(begin - datagram);
    request->fqdn_size = (uint16_t)(reader->at - begin - final_dot);
    return SKIP(reader, "\"");
}

/* Read an address up to the quotation mark behind it; what it may look like is for the system to say. */
static bool read_address(wire_reader *reader, const uint8_t *datagram, wire_request *request) {
    char text[INET6_ADDRSTRLEN];
    size_t size = 0;
    bool colon = false;
    const uint8_t *begin = reader->at;
    for (; reader->at < reader->end && *reader->at != '"'; reader->at++) {
        uint8_t octet = *reader->at;
        colon = colon || octet == ':';
        if (size >= sizeof text - 1 || !(octet == ':' || octet == '.' || hex_value(octet) >= 0)) {
            return false;
        }
        text[size++] = (char)octet;
    }
    text[size] = '\0';
    request->address_at = (uint16_t)(begin - datagram);
    request->address_text_size = (uint16_t)size;
    request->address_size = colon ? 16 : 4;
    return inet_pton(colon ? AF_INET6 : AF_INET, text, request->address) == 1 && SKIP(reader, "\"");
}

static bool read_dhcid(wire_reader *reader, wire_request *request) {
    size_t size = 0;
    while (wire_left(reader) >= 2 && reader->at[0] != '"') {
        int high = hex_value(reader->at[0]);
        int low = hex_value(reader->at[1]);
        if (high < 0 || low < 0 || size >= WIRE_DHCID_MAX) {
            return false;
        }
        request->dhcid[size++] = (uint8_t)(high << 4 | low);
        reader->at += 2;
    }
    request->dhcid_size = (uint16_t)size;
    return size > 0 && SKIP(reader, "\"");
}

/* Return what a number of digits say, which the caller has seen to be digits. */
static int number(const uint8_t *digits, int count) {
    int value = 0;
    for (int i = 0; i < count; i++) {
        value = 10 * value + digits[i] - '0';
    }
    return value;
}

/* Read YYYYMMDDHHMMSS. 29 February and leap seconds need a second look. */
static bool read_time(wire_reader *reader, const uint8_t *datagram, wire_request *request) {
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const uint8_t *text = reader->at;
    if (wire_left(reader) < 14) {
        return false;
    }
    for (int i = 0; i < 14; i++) {
        if (!is_digit(text[i])) {
            return false;
        }
    }
    int year = number(text, 4);
    int month = number(text + 4, 2);
    int day = number(text + 6, 2);
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days[month - 1]) {
        return false;
    }
    request->lease_expires_on_at = (uint16_t)(text - datagram);
    reader->at += 14;
    return number(text + 8, 2) < 24 && number(text + 10, 2) < 60 && number(text + 12, 2) < 60 &&
           SKIP(reader, "\"");
}

/* Read a number of at most nine digits, without leading zeros. */
static bool read_lease_length(wire_reader *reader, wire_request *request) {
    const uint8_t *text = reader->at;
    int count = 0;
    while (count < 9 && (size_t)count < wire_left(reader) && is_digit(text[count])) {
        count++;
    }
    if (count == 0 || (count > 1 && text[0] == '0')) {
        return false;
    }
    request->lease_length = (uint32_t)number(text, count);
    reader->at += count;
    return true;
}

/* Add the mode to a kind, which has the change type already. */
static bool read_mode(wire_reader *reader, uint8_t *kind) {
    enum wire_mode mode;
    if (SKIP(reader, "check-with-dhcid\"")) {
        mode = WIRE_CHECK_WITH_DHCID;
    } else if (SKIP(reader, "no-check-with-dhcid\"")) {
        mode = WIRE_NO_CHECK_WITH_DHCID;
    } else if (SKIP(reader, "check-exists-with-dhcid\"")) {
        mode = WIRE_CHECK_EXISTS_WITH_DHCID;
    } else if (SKIP(reader, "no-check-without-dhcid\"")) {
        mode = WIRE_NO_CHECK_WITHOUT_DHCID;
    } else {
        return false;
    }
    *kind = (uint8_t)(*kind + mode);
    return true;
}

int wire_request_read(wire_request *request, const uint8_t *datagram, size_t size) {
    if (size > WIRE_DATAGRAM_MAX) {
        size = WIRE_DATAGRAM_MAX;
    }
    wire_reader reader = wire_read_from(datagram, size);
    size_t length = wire_get_u16(&reader);
    if (length > wire_left(&reader)) {
        return WIRE_UNUSUAL;
    }
    reader.end = reader.at + length;
    if (!SKIP(&reader, "{") || !FIELD(&reader, "change-type")) {
        return WIRE_UNUSUAL;
    }
    if (!SKIP(&reader, "0") && !SKIP(&reader, "1")) {
        return WIRE_UNUSUAL;
    }
    request->kind = (uint8_t)(WIRE_MODES * (reader.at[-1] == '1' ? WIRE_REMOVE : WIRE_ADD));
    bool usual = NEXT_FIELD(&reader, "forward-change") && read_flag(&reader, &request->forward_change) &&
                 NEXT_FIELD(&reader, "reverse-change") && read_flag(&reader, &request->reverse_change) &&
                 NEXT_FIELD(&reader, "fqdn") && SKIP(&reader, "\"") &&
                 read_fqdn(&reader, datagram, request) &&
                 NEXT_FIELD(&reader, "ip-address") && SKIP(&reader, "\"") &&
                 read_address(&reader, datagram, request) &&
                 NEXT_FIELD(&reader, "dhcid") && SKIP(&reader, "\"") && read_dhcid(&reader, request) &&
                 NEXT_FIELD(&reader, "lease-expires-on") && SKIP(&reader, "\"") &&
                 read_time(&reader, datagram, request) &&
                 NEXT_FIELD(&reader, "lease-length") && read_lease_length(&reader, request) &&
                 NEXT_FIELD(&reader, "conflict-resolution-mode") && SKIP(&reader, "\"") &&
                 read_mode(&reader, &request->kind) &&
                 SKIP(&reader, "}") && wire_left(&reader) == 0;
    /* A request for nothing is for the exact way to refuse. */
    return usual && (request->forward_change || request->reverse_change) ? 0 : WIRE_UNUSUAL;
}
