#define _POSIX_C_SOURCE 200809L /* for alarm() */
/* Calls that no caller of today makes: each must be answered within bounds. The case is the argument. */
#include "error.h"
#include "harness.h"
#include "outgoing.h"
#include "packed.h"
#include "tries.h"

#include <unistd.h>

static const char REQUEST[] =
    "{\"change-type\":0,\"forward-change\":true,\"reverse-change\":false,\"fqdn\":\"host.example.com.\","
    "\"ip-address\":\"192.0.2.1\",\"dhcid\":\"0001\",\"lease-expires-on\":\"20300101000000\",\"lease-length\":60,"
    "\"conflict-resolution-mode\":\"check-with-dhcid\"}";

/* The MAC of a transaction that has never had a try. */
static void mac(void) {
    uint8_t octets[WIRE_MAC_MAX];
    wire_tries *tries = wire_tries_new();
    wire_lane *lane = wire_lane_new(10);
    CHECK(tries != NULL && lane != NULL);
    CHECK(wire_tries_mac(tries, 0, octets) == 0);
    CHECK(wire_tries_enter(tries, lane, 1, 3, 0, 1, true) == 0);
    for (uint32_t number = 0; number < 1000; number++) {
        CHECK(wire_tries_mac(tries, number, octets) == 0);
    }
    CHECK(wire_tries_mac(tries, UINT32_MAX, octets) == 0);
    wire_tries_free(tries);
    wire_lane_free(lane);
}

/* Requests that have ended: cut at every place, of domains that there are not, read at a time that was not noted. */
static void observed(void) {
    enum { COUNT = 2, LENGTH = sizeof REQUEST - 1 };
    static uint8_t packed[COUNT * WIRE_PACKED_MAX];
    uint8_t datagram[2 + LENGTH] = {LENGTH >> 8, LENGTH & 0xFF};
    memcpy(datagram + 2, REQUEST, LENGTH);
    uint32_t sizes[COUNT] = {sizeof datagram, 0};
    uint32_t packed_sizes[COUNT];
    uint64_t by_domain[1] = {0};
    wire_histogram seconds = {.bounds = {0.5}, .size = 1};
    wire_domains *domains = wire_domains_new(0, 7, 0);
    CHECK(domains != NULL);
    wire_requests_read(domains, datagram, 0, sizes, NULL, COUNT, packed, sizeof packed, packed_sizes);
    CHECK(packed_sizes[0] > 0 && packed_sizes[1] == 0);
    wire_requests_ended(packed, packed_sizes[0], 2, by_domain, 1, &seconds);
    CHECK(by_domain[0] == 0 && seconds.counts[0] + seconds.counts[1] == 0);
    wire_requests_note_time(packed, packed_sizes, COUNT, 1);
    for (size_t size = 0; size < packed_sizes[0]; size++) {
        uint8_t *cut = malloc(size > 0 ? size : 1);
        CHECK(cut != NULL);
        memcpy(cut, packed, size);
        wire_requests_ended(cut, size, 2, by_domain, 1, &seconds);
        free(cut);
    }
    CHECK(seconds.counts[0] + seconds.counts[1] == 0);
    wire_requests_ended(packed, packed_sizes[0], 1.5, by_domain, 1, &seconds);
    wire_requests_ended(packed, packed_sizes[0], 2, by_domain, 1, &seconds);
    CHECK(by_domain[0] == 0 && seconds.counts[0] == 1 && seconds.counts[1] == 1 && seconds.sum == 1.5);
    wire_reply_counts replies = {.on = true};
    for (int rcode = -3; rcode < 4096; rcode++) {
        wire_reply_count(&replies, rcode, 0);
    }
    CHECK(replies.rcodes[0] == 1 && replies.rcodes[WIRE_RCODES - 1] == 1 && replies.seconds.counts[0] == 4099);
    wire_domains_free(domains);
}

/* Requests that do not fit where they are to go: in memory of exactly the size that is said. */
static void requests(void) {
    enum { COUNT = 3, LENGTH = sizeof REQUEST - 1 };
    uint8_t datagrams[COUNT * (2 + LENGTH)];
    uint32_t sizes[COUNT];
    uint32_t packed_sizes[COUNT];
    static uint8_t buffer[COUNT * WIRE_PACKED_MAX];
    wire_domains *domains = wire_domains_new(0, 0, 0);
    CHECK(domains != NULL);
    for (size_t i = 0; i < COUNT; i++) {
        uint8_t *at = datagrams + i * (2 + LENGTH);
        at[0] = LENGTH >> 8;
        at[1] = LENGTH & 0xFF;
        memcpy(at + 2, REQUEST, LENGTH);
        sizes[i] = 2 + LENGTH;
    }
    wire_requests_read(domains, datagrams, 0, sizes, NULL, COUNT, buffer, sizeof buffer, packed_sizes);
    uint32_t one = packed_sizes[0];
    CHECK(one > sizeof(wire_packed) && packed_sizes[2] == one);
    for (size_t size = 0; size <= COUNT * one; size++) {
        uint8_t *small = malloc(size > 0 ? size : 1);
        CHECK(small != NULL);
        wire_requests_read(domains, datagrams, 0, sizes, NULL, COUNT, small, size, packed_sizes);
        for (size_t i = 0; i < COUNT; i++) {
            CHECK(packed_sizes[i] == (size >= (i + 1) * one ? one : 0));
        }
        CHECK(memcmp(small, buffer, size / one * one) == 0);
        free(small);
    }
    wire_domains_free(domains);
}

/* More domains than the table holds; what is looked up then is found or not, but the search ends. */
static void domains(void) {
    uint8_t text[2] = {'a', '.'};
    wire_domains *four = wire_domains_new(4, 9, 0);
    CHECK(four != NULL);
    for (uint32_t i = 0; i < 26; i++) {
        text[0] = (uint8_t)('a' + i);
        CHECK(wire_domains_add(four, WIRE_DOMAIN_NAME, text, sizeof text, i + 1) == (i < 4 ? 0 : WIRE_NO_SPACE));
    }
    text[0] = 'a';
    CHECK(wire_domains_add(four, WIRE_DOMAIN_NAME, text, sizeof text, 70) == 0); /* it is there: in its place */
    for (int label = 'a'; label <= 'z'; label++) {
        static const char name[] = {1, 'x', 0};
        uint8_t packed[sizeof(wire_packed) + sizeof name];
        wire_packed head = {.fqdn_size = sizeof name, .ways = WIRE_FORWARD, .address_size = 4};
        memcpy(packed, &head, sizeof head);
        memcpy(packed + sizeof head, name, sizeof name);
        packed[sizeof head + 1] = (uint8_t)label;
        CHECK(wire_match(four, packed, sizeof packed) == 0);
        memcpy(&head, packed, sizeof head);
        CHECK(head.forward == (label == 'a' ? 70 : label <= 'd' ? (uint32_t)(label - 'a' + 1) : 9));
    }
    wire_domains_free(four);
}

/* Domains that are none: of no kind, or with the number that stands for none. */
static void kinds(void) {
    uint8_t text[256] = {'a', '.'};
    wire_domains *domains = wire_domains_new(4, 0, 0);
    CHECK(domains != NULL);
    CHECK(wire_domains_add(domains, -1, text, 2, 1) == WIRE_UNUSUAL);
    CHECK(wire_domains_add(domains, WIRE_DOMAIN_KINDS, text, 2, 1) == WIRE_UNUSUAL);
    CHECK(wire_domains_add(domains, WIRE_DOMAIN_NAME, text, 2, 0) == WIRE_UNUSUAL);
    CHECK(wire_domains_add(domains, WIRE_DOMAIN_NAME, text, sizeof text, 1) == 0); /* can match nothing */
    wire_domains_free(domains);
}

/* More domains than memory can hold. */
static void many(void) {
    CHECK(wire_domains_new(SIZE_MAX, 0, 0) == NULL);
    CHECK(wire_domains_new(SIZE_MAX / 2 + 1, 0, 0) == NULL);
}

/* An outbox whose sizes no longer fit into 32 bits. */
static void outbox(void) {
    wire_lane *lane = wire_lane_new(10);
    CHECK(lane != NULL && wire_lane_reserve(lane, 100) != NULL);
    uint32_t octets_capacity = lane->octets_capacity;
    lane->used = lane->octets_capacity = UINT32_MAX - 100;
    CHECK(wire_lane_reserve(lane, 2048) == NULL);
    CHECK(lane->octets_capacity == UINT32_MAX - 100);
    lane->used = lane->octets_capacity = (uint32_t)1 << 31; /* twice that is 0 in 32 bits; 4 GiB are not to be had here */
    CHECK(wire_lane_reserve(lane, 2048) == NULL);
    CHECK(lane->octets_capacity == (uint32_t)1 << 31);
    lane->used = 0;
    lane->octets_capacity = octets_capacity;
    uint32_t capacity = lane->capacity;
    lane->count = lane->capacity = (uint32_t)1 << 31;
    CHECK(wire_lane_reserve(lane, 100) == NULL);
    CHECK(lane->capacity == (uint32_t)1 << 31);
    lane->count = 0;
    lane->capacity = capacity;
    CHECK(wire_lane_reserve(lane, 2048) != NULL);
    wire_lane_free(lane);
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {{"mac", mac}, {"requests", requests}, {"domains", domains}, {"kinds", kinds}, {"many", many},
                 {"outbox", outbox}, {"observed", observed}};
    alarm(20); /* a search without an end is a failure */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (count == 2 && strcmp(arguments[1], cases[i].name) == 0) {
            cases[i].run();
            puts("ok");
            return 0;
        }
    }
    return 2;
}
