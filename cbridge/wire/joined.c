#define _GNU_SOURCE /* memmem */

#include "joined.h"

#include <string.h>

#include "error.h"
#include "octets.h"

enum { LENGTH = 2, DIGITS = 16 /* of eight octets */ };

static const char MEMBER[] = "\"dhcid\"";

size_t wire_joined_size(const uint32_t *sizes, size_t count) {
    size_t size = count * LENGTH;
    for (size_t i = 0; i < count; i++) {
        size += sizes[i];
    }
    return size;
}

size_t wire_joined_write(const uint8_t *datagrams, size_t stride, const uint32_t *sizes, size_t count,
                         uint8_t *octets) {
    uint8_t *at = octets;
    for (size_t i = 0; i < count; i++) {
        at[0] = (uint8_t)(sizes[i] >> 8);
        at[1] = (uint8_t)sizes[i];
        memcpy(at + LENGTH, datagrams, sizes[i]);
        at += LENGTH + sizes[i];
        datagrams = wire_next_datagram(datagrams, stride, sizes[i]);
    }
    return (size_t)(at - octets);
}

int32_t wire_joined_count(const uint8_t *octets, size_t size) {
    wire_reader reader = wire_read_from(octets, size);
    int32_t count = 0;
    while (wire_left(&reader) > 0 && !reader.missing) {
        wire_read_octets(&reader, wire_get_u16(&reader));
        count++;
    }
    return reader.missing ? WIRE_UNUSUAL : count;
}

/* Return the size of the next datagram of a row, and move to its octets. */
static size_t next_size(const uint8_t **octets) {
    size_t size = (size_t)(*octets)[0] << 8 | (*octets)[1];
    *octets += LENGTH;
    return size;
}

void wire_joined_read(const uint8_t *octets, size_t count, uint8_t *datagrams, uint32_t *sizes) {
    for (size_t i = 0; i < count; i++) {
        size_t size = next_size(&octets);
        memcpy(datagrams, octets, size);
        sizes[i] = (uint32_t)size;
        datagrams += size;
        octets += size;
    }
}

static int hex_value(uint8_t octet) {
    if (octet >= '0' && octet <= '9') {
        return octet - '0';
    }
    octet |= 0x20;
    return octet >= 'a' && octet <= 'f' ? octet - 'a' + 10 : -1;
}

/* Return what hexadecimal digits end with; 0 if they are too few, or other characters. */
static uint64_t read_last(const uint8_t *digits, size_t count) {
    uint64_t value = 0;
    if (count < DIGITS || count % 2 != 0) {
        return 0;
    }
    for (size_t i = count - DIGITS; i < count; i++) {
        int digit = hex_value(digits[i]);
        if (digit < 0) {
            return 0;
        }
        value = value << 4 | (uint64_t)digit;
    }
    return value;
}

static uint64_t client_of(const uint8_t *datagram, size_t size) {
    const uint8_t *end = datagram + size;
    const uint8_t *found = memmem(datagram, size, MEMBER, sizeof MEMBER - 1);
    /* Without an escape the only member of that name is the DHCID. */
    if (found == NULL || memchr(datagram, '\\', size) != NULL) {
        return 0;
    }
    const uint8_t *at = found + sizeof MEMBER - 1;
    if (memmem(at, (size_t)(end - at), MEMBER, sizeof MEMBER - 1) != NULL || end - at < 2 || at[0] != ':' ||
        at[1] != '"') {
        return 0;
    }
    at += 2;
    const uint8_t *behind = memchr(at, '"', (size_t)(end - at));
    return behind != NULL ? read_last(at, (size_t)(behind - at)) : 0;
}

void wire_joined_clients(const uint8_t *octets, size_t count, uint64_t *clients) {
    for (size_t i = 0; i < count; i++) {
        size_t size = next_size(&octets);
        clients[i] = client_of(octets, size);
        octets += size;
    }
}
