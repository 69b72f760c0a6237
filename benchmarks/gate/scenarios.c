/*
 * One fixed scenario for each hot function of the compiled packet layer, for callgrind to count. To add one, or
 * to follow a change of the layer: write a function that does the work once, and give it a line in the table.
 */
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "marks.h"
#include "reply.h"
#include "request.h"
#include "tsig.h"
#include "update.h"

enum { TIMES = 1000, WALL = 1800000000, CAPACITY = 2048, MAC_SIZE = 32};
enum { A = 1, PTR = 12, AAAA = 28, DHCID = 49, ANY = 255, IN = 1, NONE = 254 };

#define CHECK(condition)                                                                                \
    do {                                                                                                \
        if (!(condition)) {                                                                             \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);               \
            exit(1);                                                                                    \
        }                                                                                               \
    } while (0)

static const char REQUEST[] =
    "{\"change-type\":0,\"forward-change\":true,\"reverse-change\":true,\"fqdn\":\"host-12345.bench.example.\","
    "\"ip-address\":\"10.1.2.3\",\"dhcid\":\"000101C4DAB1D7E0C2BB6C9E4A4E4B8D4B34F2AB9FEE2D0C0CD2A1A8F1BB0CD1F4B5A0\","
    "\"lease-expires-on\":\"20300102030405\",\"lease-length\":3600,"
    "\"conflict-resolution-mode\":\"check-with-dhcid\"}";
static const uint8_t SECRET[32] = {1, 2, 3, 4, 5};
static const uint8_t ALGORITHM[] = "\13hmac-sha256";
static const uint8_t KEY[] = "\11bench-key";
static const uint8_t FQDN[] = "\12host-12345\5bench\7example";
static const uint8_t IPV4[4] = {10, 1, 2, 3};
static const uint8_t IPV6[16] = {0x20, 0x01, 0x0D, 0xB8, [15] = 0x10};
static const uint8_t ID[35] = {0, 1, 1, 0xC4, 0xDA};

static const wire_template ADD = {
    1, 2, {{ANY, NONE, WIRE_DATA_NONE, 0}, {0, IN, WIRE_DATA_ADDRESS, 1}, {DHCID, IN, WIRE_DATA_DHCID, 1}}};
static const wire_template REVERSE = {
    0, 4, {{PTR, ANY, WIRE_DATA_NONE, 0}, {DHCID, ANY, WIRE_DATA_NONE, 0}, {PTR, IN, WIRE_DATA_TARGET, 1},
           {DHCID, IN, WIRE_DATA_DHCID, 1}}};

static uint8_t datagram[sizeof REQUEST + 2];
static wire_name forward_zone;
static wire_name reverse_zone;
static wire_name reverse_zone6;
static wire_key *key;
static uint8_t update[CAPACITY];
static size_t update_size;
static uint8_t request_mac[MAC_SIZE];
static uint8_t reply[CAPACITY]; /* signed */
static size_t reply_size;
static uint8_t buffer[CAPACITY];

static uint8_t *put(uint8_t *at, const void *octets, size_t size) {
    memcpy(at, octets, size);
    return at + size;
}

static void set_zone(wire_name *zone, const char *wire, size_t size) {
    CHECK(wire_name_set(zone, (const uint8_t *)wire, size) == 0);
}

/* Prepare the signed update's MAC, and a reply that the same key has signed (RFC 8945, section 5.3). */
static void prepare_reply(void) {
    static const uint8_t class_and_ttl[] = {0, 255, 0, 0, 0, 0};
    static const uint8_t when[] = {0, 0, (uint8_t)(WALL >> 24), (uint8_t)(WALL >> 16 & 255),
                                   (uint8_t)(WALL >> 8 & 255), (uint8_t)(WALL & 255), 300 >> 8, 300 & 255};
    uint8_t covered[CAPACITY] = {0, MAC_SIZE};
    uint8_t mac[EVP_MAX_MD_SIZE];
    int size = wire_sign(key, update, update_size, 0x1234, WALL, buffer, sizeof buffer);
    CHECK(size > 0);
    memcpy(request_mac, buffer + size - 6 - MAC_SIZE, MAC_SIZE);
    memcpy(covered + 2, request_mac, MAC_SIZE);
    uint8_t *at = covered + 2 + MAC_SIZE;
    uint8_t *message = at;
    memcpy(at, update, 12 + forward_zone.size + 4);
    memcpy(at, "\x12\x34\xA8\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
    at += 12 + forward_zone.size + 4;
    reply_size = (size_t)(at - message);
    memcpy(reply, message, reply_size);
    at = put(at, KEY, sizeof KEY);
    at = put(at, class_and_ttl, sizeof class_and_ttl);
    at = put(at, ALGORITHM, sizeof ALGORITHM);
    at = put(at, when, sizeof when);
    at = put(at, "\0\0\0\0", 4);
    CHECK(HMAC(EVP_sha256(), SECRET, sizeof SECRET, covered, (size_t)(at - covered), mac, NULL) != NULL);

    at = put(reply + reply_size, KEY, sizeof KEY);
    at = put(at, "\0\xFA\0\xFF\0\0\0\0\0", 9);
    *at++ = (uint8_t)(sizeof ALGORITHM + sizeof when + 2 + MAC_SIZE + 6);
    at = put(at, ALGORITHM, sizeof ALGORITHM);
    at = put(at, when, sizeof when);
    at = put(at, "\0\x20", 2);
    at = put(at, mac, MAC_SIZE);
    at = put(at, "\x12\x34\0\0\0\0", 6);
    reply[11] = 1;
    reply_size = (size_t)(at - reply);
}

static void prepare(void) {
    datagram[0] = (sizeof REQUEST - 1) >> 8;
    datagram[1] = (sizeof REQUEST - 1) & 255;
    memcpy(datagram + 2, REQUEST, sizeof REQUEST);
    set_zone(&forward_zone, "\5bench\7example", 15);
    set_zone(&reverse_zone, "\00210\7in-addr\4arpa", 17);
    set_zone(&reverse_zone6, "\0018\1b\1d\0010\0011\0010\0010\0012\3ip6\4arpa", 26);
    key = wire_key_new(KEY, sizeof KEY, ALGORITHM, sizeof ALGORITHM, "sha256", SECRET, sizeof SECRET, MAC_SIZE);
    CHECK(key != NULL);
    int size = wire_update_write(&ADD, &forward_zone, FQDN, sizeof FQDN, FQDN, sizeof FQDN, IPV4, sizeof IPV4, ID,
                                 sizeof ID, 3600, update, sizeof update);
    CHECK(size > 0);
    update_size = (size_t)size;
    prepare_reply();
}

static int decode(void) {
    static wire_request request;
    return wire_request_read(&request, datagram, sizeof REQUEST - 1 + 2);
}

static int encode_forward(void) {
    return wire_update_write(&ADD, &forward_zone, FQDN, sizeof FQDN, FQDN, sizeof FQDN, IPV4, sizeof IPV4, ID,
                             sizeof ID, 3600, buffer, sizeof buffer);
}

static int encode_reverse(void) {
    return wire_update_write(&REVERSE, &reverse_zone, NULL, 0, FQDN, sizeof FQDN, IPV4, sizeof IPV4, ID, sizeof ID,
                             3600, buffer, sizeof buffer);
}

static int encode_reverse_ipv6(void) {
    return wire_update_write(&REVERSE, &reverse_zone6, NULL, 0, FQDN, sizeof FQDN, IPV6, sizeof IPV6, ID, sizeof ID,
                             3600, buffer, sizeof buffer);
}

static int sign(void) {
    return wire_sign(key, update, update_size, 0x1234, WALL, buffer, sizeof buffer);
}

static int verify_reply(void) {
    return wire_reply_read(reply, reply_size, key, request_mac, MAC_SIZE, WALL);
}

static int read_unsigned_reply(void) {
    static const uint8_t plain[12] = {0x12, 0x34, 0xA8};
    return wire_reply_read(plain, sizeof plain, NULL, NULL, 0, WALL);
}

/* Each returns an error below zero. */
static const struct {
    const char *name;
    int (*work)(void);
} SCENARIOS[] = {
    {"decode a request", decode},
    {"encode a forward update", encode_forward},
    {"encode a reverse update", encode_reverse},
    {"encode a reverse update for IPv6", encode_reverse_ipv6},
    {"sign an update", sign},
    {"verify a reply", verify_reply},
    {"read an unsigned reply", read_unsigned_reply},
};

int main(void) {
    prepare();
    for (size_t i = 0; i < sizeof SCENARIOS / sizeof *SCENARIOS; i++) {
        CHECK(SCENARIOS[i].work() >= 0);
        gate_begin();
        for (unsigned n = 0; n < TIMES; n++) {
            SCENARIOS[i].work();
        }
        gate_end(SCENARIOS[i].name);
    }
    wire_key_free(key);
    return 0;
}
