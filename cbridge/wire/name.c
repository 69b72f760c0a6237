#include "name.h"

#include "error.h"
#include "name_find.h"

enum { MAX_LABEL = 63, MAX_POINTERS = 127, POINTER_MARK = 0xC0 };

int wire_name_set(wire_name *name, const uint8_t *wire, size_t size) {
    if (size == 0 || size > WIRE_NAME_MAX) {
        return WIRE_BAD_NAME;
    }
    memset(name->begins, 0, sizeof name->begins);
    size_t at = 0;
    while (at < size && wire[at] != 0) {
        if (wire[at] > MAX_LABEL) {
            return WIRE_BAD_NAME;
        }
        name->begins[at / 8] |= (uint8_t)(1U << at % 8);
        at += 1U + wire[at];
    }
    if (at + 1 != size) {
        return WIRE_BAD_NAME;
    }
    for (size_t i = 0; i < size; i++) {
        name->wire[i] = wire[i];
        name->lower[i] = wire_to_lower(wire[i]);
    }
    name->size = size;
    return 0;
}

int wire_name_set_reverse(wire_name *name, const uint8_t *address, size_t size) {
    static const char digits[] = "0123456789ABCDEF";
    static const uint8_t in_addr_arpa[] = "\7in-addr\4arpa";
    static const uint8_t ip6_arpa[] = "\3ip6\4arpa";
    uint8_t octets[WIRE_NAME_MAX];
    wire_writer writer = wire_write_to(octets, sizeof octets);
    if (size == 4) {
        for (size_t i = size; i-- > 0;) {
            unsigned octet = address[i];
            uint8_t label[4] = {3, (uint8_t)('0' + octet / 100), (uint8_t)('0' + octet / 10 % 10),
                                (uint8_t)('0' + octet % 10)};
            size_t skipped = octet < 10 ? 2 : octet < 100 ? 1 : 0;
            label[skipped] = (uint8_t)(3 - skipped);
            wire_put(&writer, label + skipped, sizeof label - skipped);
        }
        wire_put(&writer, in_addr_arpa, sizeof in_addr_arpa);
    } else if (size == 16) {
        for (size_t i = size; i-- > 0;) {
            uint8_t labels[4] = {1, (uint8_t)digits[address[i] & 15], 1, (uint8_t)digits[address[i] >> 4]};
            wire_put(&writer, labels, sizeof labels);
        }
        wire_put(&writer, ip6_arpa, sizeof ip6_arpa);
    } else {
        return WIRE_UNUSUAL;
    }
    return wire_name_set(name, octets, wire_written(&writer));
}

int wire_find_suffix(const wire_name *name, const wire_name *other, size_t begin) {
    size_t length = other->size - begin;
    if (length > name->size) {
        return -1;
    }
    size_t at = name->size - length;
    if (!(name->begins[at / 8] >> at % 8 & 1)) {
        return -1;
    }
    return memcmp(name->lower + at, other->lower + begin, length) == 0 ? (int)at : -1;
}

int wire_read_name(const uint8_t *message, size_t size, size_t at, uint8_t lower[WIRE_NAME_MAX],
                   size_t *lower_size) {
    size_t used = 0;
    size_t lowest = at;
    size_t behind = 0;
    unsigned pointers = 0;
    while (at < size) {
        unsigned octet = message[at];
        if (octet <= MAX_LABEL) {
            if (size - at < 1 + octet || WIRE_NAME_MAX - used < 1 + octet) {
                return WIRE_BAD_NAME;
            }
            for (size_t i = 0; i <= octet; i++) {
                lower[used + i] = wire_to_lower(message[at + i]);
            }
            used += 1 + octet;
            at += 1 + octet;
            if (octet == 0) {
                *lower_size = used;
                return (int)(behind > 0 ? behind : at);
            }
        } else if (octet >= POINTER_MARK && size - at >= 2) {
            /* Each pointer leads further back than all before it, so the walk ends. */
            size_t to = (octet & 0x3FU) << 8 | message[at + 1];
            if (to >= lowest || ++pointers > MAX_POINTERS) {
                return WIRE_BAD_NAME;
            }
            behind = behind > 0 ? behind : at + 2;
            at = lowest = to;
        } else {
            return WIRE_BAD_NAME;
        }
    }
    return WIRE_BAD_NAME;
}
