#include "packed.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "name_find.h"

enum { TEXT_MAX = 255 };

/* Python reads and writes it by these places: pyd2/packets/packed.py. */
_Static_assert(sizeof(wire_packed) == 64, "wire_packed has padding, or is not what Python takes it for");
_Static_assert(offsetof(wire_packed, number) == 0, "as Python has it");
_Static_assert(offsetof(wire_packed, lease_length) == 8, "as Python has it");
_Static_assert(offsetof(wire_packed, forward) == 12, "as Python has it");
_Static_assert(offsetof(wire_packed, reverse) == 16, "as Python has it");
_Static_assert(offsetof(wire_packed, kind) == 20, "as Python has it");
_Static_assert(offsetof(wire_packed, ways) == 21, "as Python has it");
_Static_assert(offsetof(wire_packed, dhcid_size) == 22, "as Python has it");
_Static_assert(offsetof(wire_packed, fqdn_size) == 24, "as Python has it");
_Static_assert(offsetof(wire_packed, address_size) == 25, "as Python has it");
_Static_assert(offsetof(wire_packed, expires) == 26, "as Python has it");
_Static_assert(offsetof(wire_packed, address) == 40, "as Python has it");
_Static_assert(offsetof(wire_packed, read_at) == 56, "as Python has it");

typedef struct {
    uint32_t number; /* 0: the place is free */
    uint8_t kind;
    uint8_t size;
    uint8_t text[TEXT_MAX];
} entry;

struct wire_domains {
    entry *entries;
    size_t mask;
    size_t left; /* how many more may be added */
    uint32_t forward_wildcard;
    uint32_t reverse_wildcard;
    bool has_length[WIRE_DOMAIN_KINDS][TEXT_MAX + 1];
};

wire_domains *wire_domains_new(size_t count, uint32_t forward_wildcard, uint32_t reverse_wildcard) {
    if (count > SIZE_MAX / 4) { /* else there would be no number for the places */
        return NULL;
    }
    size_t places = 16;
    while (places < 2 * count) {
        places *= 2;
    }
    wire_domains *domains = calloc(1, sizeof *domains);
    if (domains != NULL) {
        domains->entries = calloc(places, sizeof *domains->entries);
        domains->mask = places - 1;
        domains->left = count;
        domains->forward_wildcard = forward_wildcard;
        domains->reverse_wildcard = reverse_wildcard;
        if (domains->entries == NULL) {
            free(domains);
            domains = NULL;
        }
    }
    return domains;
}

void wire_domains_free(wire_domains *domains) {
    if (domains != NULL) {
        free(domains->entries);
        free(domains);
    }
}

/* Return the place of a text, or the free one where it would stand: half of the places or more are always free. */
static entry *find_place(const wire_domains *domains, unsigned kind, const uint8_t *text, size_t size) {
    /* FNV-1a. The texts come from the configuration only: clients cannot make them collide. */
    uint64_t hash = 0xCBF29CE484222325 ^ kind;
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ text[i]) * 0x100000001B3;
    }
    size_t at = (hash ^ hash >> 32) & domains->mask;
    for (;; at = (at + 1) & domains->mask) {
        entry *found = &domains->entries[at];
        if (found->number == 0 ||
            (found->kind == kind && found->size == size && memcmp(found->text, text, size) == 0)) {
            return found;
        }
    }
}

int wire_domains_add(wire_domains *domains, int kind, const uint8_t *text, size_t size, uint32_t number) {
    if (kind < 0 || kind >= WIRE_DOMAIN_KINDS || number == 0) {
        return WIRE_UNUSUAL;
    }
    if (size > TEXT_MAX) {
        return 0;
    }
    entry *place = find_place(domains, (unsigned)kind, text, size);
    if (place->number == 0) {
        if (domains->left == 0) {
            return WIRE_NO_SPACE;
        }
        domains->left--;
    }
    place->number = number;
    place->kind = (uint8_t)kind;
    place->size = (uint8_t)size;
    memcpy(place->text, text, size);
    domains->has_length[kind][size] = true;
    return 0;
}

/* Look a text up; it is at most TEXT_MAX long. */
static uint32_t find(const wire_domains *domains, unsigned kind, const uint8_t *text, size_t size) {
    return domains->has_length[kind][size] ? find_place(domains, kind, text, size)->number : 0;
}

static uint32_t find_forward(const wire_domains *domains, const uint8_t *fqdn, size_t size) {
    uint8_t text[TEXT_MAX];
    bool begins[TEXT_MAX + 1] = {true};
    size_t length = 0;
    for (size_t at = 0; at + 1 < size; at += 1U + fqdn[at]) {
        for (size_t i = 1; i <= fqdn[at]; i++) {
            text[length++] = wire_to_lower(fqdn[at + i]);
        }
        text[length++] = '.';
        begins[length] = true;
    }
    for (size_t at = 0; at < length; at++) {
        uint32_t number = begins[at] ? find(domains, WIRE_DOMAIN_NAME, text + at, length - at) : 0;
        if (number != 0) {
            return number;
        }
    }
    return domains->forward_wildcard;
}

static uint32_t find_reverse(const wire_domains *domains, const uint8_t *address, size_t size) {
    uint8_t digits[32];
    unsigned kind = WIRE_DOMAIN_OCTETS;
    if (size == 16) {
        static const char hex[] = "0123456789abcdef";
        for (size_t i = 0; i < size; i++) {
            digits[2 * i] = (uint8_t)hex[address[i] >> 4];
            digits[2 * i + 1] = (uint8_t)hex[address[i] & 15];
        }
        kind = WIRE_DOMAIN_NIBBLES;
        address = digits;
        size = sizeof digits;
    }
    for (size_t length = size + 1; length-- > 0;) {
        uint32_t number = find(domains, kind, address, length);
        if (number != 0) {
            return number;
        }
    }
    return domains->reverse_wildcard;
}

static void match(const wire_domains *domains, wire_packed *head, const uint8_t *fqdn) {
    head->forward = head->ways & WIRE_FORWARD ? find_forward(domains, fqdn, head->fqdn_size) : 0;
    head->reverse = head->ways & WIRE_REVERSE ? find_reverse(domains, head->address, head->address_size) : 0;
}

int wire_match(const wire_domains *domains, uint8_t *packed, size_t size) {
    wire_packed head;
    wire_name name; /* to make sure that the labels end where the name does */
    if (size < sizeof head) {
        return WIRE_UNUSUAL;
    }
    memcpy(&head, packed, sizeof head);
    uint8_t *fqdn = packed + sizeof head + head.dhcid_size;
    if (size != sizeof head + head.dhcid_size + head.fqdn_size || wire_name_set(&name, fqdn, head.fqdn_size) != 0 ||
        (head.address_size != 4 && head.address_size != 16)) {
        return WIRE_UNUSUAL;
    }
    match(domains, &head, fqdn);
    memcpy(packed, &head, sizeof head);
    return 0;
}

void wire_requests_read(const wire_domains *domains, const uint8_t *datagrams, size_t stride, const uint32_t *sizes,
                        const uint64_t *numbers, size_t count, uint8_t *packed, size_t packed_size_max,
                        uint32_t *packed_sizes) {
    wire_request request;
    const uint8_t *datagram = datagrams;
    for (size_t i = 0; i < count; datagram = wire_next_datagram(datagram, stride, sizes[i]), i++) {
        packed_sizes[i] = 0;
        if (wire_request_read(&request, datagram, sizes[i]) != 0) {
            continue;
        }
        size_t size = sizeof(wire_packed) + request.dhcid_size + request.fqdn_wire_size;
        if (size > packed_size_max) {
            continue;
        }
        packed_size_max -= size;
        wire_packed head = {
            .number = numbers != NULL ? numbers[i] : 0,
            .lease_length = request.lease_length,
            .dhcid_size = request.dhcid_size,
            .fqdn_size = (uint8_t)request.fqdn_wire_size,
            .kind = request.kind,
            .ways = (uint8_t)((request.forward_change ? WIRE_FORWARD : 0) |
                              (request.reverse_change ? WIRE_REVERSE : 0)),
            .address_size = request.address_size,
        };
        memcpy(head.expires, datagram + request.lease_expires_on_at, sizeof head.expires);
        memcpy(head.address, request.address, request.address_size);
        match(domains, &head, request.fqdn_wire);
        memcpy(packed, &head, sizeof head);
        packed += sizeof head;
        memcpy(packed, request.dhcid, request.dhcid_size);
        packed += request.dhcid_size;
        memcpy(packed, request.fqdn_wire, request.fqdn_wire_size);
        packed += request.fqdn_wire_size;
        packed_sizes[i] = (uint32_t)size;
    }
}
