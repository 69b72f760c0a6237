/*
 * A D2 that does nothing but move datagrams: what the loopback path carries at most, and a peer for the tests of
 * the load generator. Every request is an addition, of one domain, for IPv4, unsigned; nothing is checked and
 * nothing sent again.
 *
 *     reflector --ncr-port PORT --dns-port PORT [--address ADDRESS]
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "hosts.h"
#include "octets.h"
#include "options.h"
#include "sockets.h"

enum { ID_COUNT = 65536, TYPE_A = 1, TYPE_SOA = 6, TYPE_PTR = 12, TYPE_ANY = 255, CLASS_NONE = 254, CLASS_ANY = 255 };

static uint32_t hosts[ID_COUNT]; /* by query ID */
static bool reverse_next[ID_COUNT];
static uint16_t next_id;

/* Put a record whose owner is a pointer, or follows the header of the message when it is none yet. */
static uint8_t *put_record(uint8_t *at, uint16_t pointer, unsigned type, unsigned rrclass, const uint8_t *data,
                           size_t size) {
    put_u16(at, 0xC000 | pointer);
    put_u16(at + 2, (uint16_t)type);
    put_u16(at + 4, (uint16_t)rrclass);
    put_u32(at + 6, 0);
    put_u16(at + 10, (uint16_t)size);
    return size > 0 ? put_octets(at + 12, data, size) : at + 12;
}

/* Write the header and the zone section, then the owner of the records; `owner` gets its offset. */
static uint8_t *begin(uint8_t *message, uint16_t id, const char *zone, const char *name, uint16_t *owner) {
    const wire_name origin = name_from_text(zone);
    const wire_name relative = name_from_text(name);
    memset(message, 0, 12);
    put_u16(message, id);
    message[2] = 5 << 3;
    message[5] = 1;
    uint8_t *at = put_octets(message + 12, origin.wire, origin.size);
    put_u16(at, TYPE_SOA);
    put_u16(at + 2, 1);
    at += 4;
    *owner = (uint16_t)(at - message);
    at = put_octets(at, relative.wire, relative.size - 1);
    put_u16(at, 0xC000 | 12);
    return at + 2;
}

static size_t write_update(uint8_t *message, uint16_t id, uint32_t host, bool reverse) {
    char name[32];
    uint16_t owner;
    uint8_t *at;
    if (reverse) {
        snprintf(name, sizeof name, "%u.%u.%u", host & 255, host >> 8 & 255, host >> 16 & 255);
        at = begin(message, id, "10.in-addr.arpa.", name, &owner);
        message[9] = 1;
        put_u16(at, TYPE_PTR);
        put_u16(at + 2, CLASS_ANY);
        memset(at + 4, 0, 6);
        return (size_t)(at + 10 - message);
    }
    const uint8_t address[] = {10, (uint8_t)(host >> 16), (uint8_t)(host >> 8), (uint8_t)host};
    snprintf(name, sizeof name, "h%08u", host);
    at = begin(message, id, "bench.example.", name, &owner);
    message[7] = 1;
    message[9] = 1;
    put_u16(at, TYPE_ANY);
    put_u16(at + 2, CLASS_NONE);
    memset(at + 4, 0, 6);
    return (size_t)(put_record(at + 10, owner, TYPE_A, 1, address, sizeof address) - message);
}

/* Add an update to those that leave next. */
static void send_update(datagram *outgoing, datagram **batch, unsigned *count, uint32_t host, bool reverse) {
    uint16_t id = next_id++;
    hosts[id] = host;
    reverse_next[id] = !reverse;
    batch[*count] = &outgoing[*count];
    outgoing[*count].size = write_update(outgoing[*count].octets, id, host, reverse);
    ++*count;
}

int main(int argc, char **argv) {
    const load_options options = options_read(argc, argv);
    int requests = socket_bound(options.address, options.ncr_port);
    int server = socket_connected(options.address, options.dns_port);
    datagram *arrived = get_memory(BATCH, sizeof *arrived);
    datagram *outgoing = get_memory(BATCH, sizeof *outgoing);
    datagram *batch[BATCH];
    for (;;) {
        struct pollfd events[] = {{.fd = requests, .events = POLLIN}, {.fd = server, .events = POLLIN}};
        poll(events, 2, -1);
        unsigned count = 0;
        unsigned replies = receive_batch(server, arrived);
        for (unsigned i = 0; i < replies; i++) {
            uint16_t id = get_u16(arrived[i].octets);
            if (reverse_next[id]) {
                send_update(outgoing, batch, &count, hosts[id], true);
            }
        }
        send_batch(server, batch, count);
        count = 0;
        unsigned fresh = receive_batch(requests, arrived);
        for (unsigned i = 0; i < fresh; i++) {
            static const char before[] = "\"fqdn\":\"h";
            arrived[i].octets[arrived[i].size < DATAGRAM_MAX ? arrived[i].size : DATAGRAM_MAX - 1] = '\0';
            const char *number = strstr((const char *)arrived[i].octets + 2, before);
            if (number != NULL) {
                send_update(outgoing, batch, &count, (uint32_t)strtoul(number + sizeof before - 1, NULL, 10), false);
            }
        }
        send_batch(server, batch, count);
    }
}
