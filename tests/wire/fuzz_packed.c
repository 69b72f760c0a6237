/*
 * Fuzzes packing, matching and showing: a datagram is packed with its domains, and the same octets are matched and
 * shown as if packed.
 */
#include "error.h"
#include "harness.h"
#include "observed.h"
#include "packed.h"
#include "shown.h"

static wire_domains *make_domains(void) {
    static const uint8_t name[] = "example.com.";
    static const uint8_t octets[] = {192, 0, 2};
    static const uint8_t nibbles[] = "20010db8";
    uint8_t too_long[256] = {0};
    wire_domains *domains = wire_domains_new(4, 9, 0);
    CHECK(domains != NULL);
    wire_domains_add(domains, WIRE_DOMAIN_NAME, name, sizeof name - 1, 1);
    wire_domains_add(domains, WIRE_DOMAIN_OCTETS, octets, sizeof octets, 2);
    wire_domains_add(domains, WIRE_DOMAIN_NIBBLES, nibbles, sizeof nibbles - 1, 3);
    wire_domains_add(domains, WIRE_DOMAIN_NAME, too_long, sizeof too_long, 4);
    return domains;
}

/* Show lines of a request that stands there twice, in a buffer that is large enough, in one that is not, and up to a count. */
static void show_lines(const uint8_t *packed, size_t size) {
    static const wire_line line = {"before ", " between ", " after", 7, 9, 6};
    static uint8_t lines[2 * WIRE_SHOWN_MAX];
    uint32_t ends[2] = {0, 0};
    uint8_t *twice = malloc(2 * size);
    CHECK(twice != NULL);
    memcpy(twice, packed, size);
    memcpy(twice + size, packed, size);
    CHECK(wire_requests_show(twice, 2 * size, &line, lines, sizeof lines, ends, 2) == 2);
    CHECK(ends[1] == 2 * ends[0] && memcmp(lines, lines + ends[0], ends[0]) == 0);
    CHECK(wire_requests_show(twice, 2 * size, &line, lines, ends[1] - 1, ends, 2) == 1);
    CHECK(wire_requests_show(twice, 2 * size, &line, lines, sizeof lines, ends, 1) == 1);
    CHECK(wire_requests_show(twice, 2 * size - 1, &line, lines, sizeof lines, ends, 2) == WIRE_UNUSUAL);
    free(twice);
}

/* Read a datagram as two, one directly behind the other, which get numbers; the one is read as it was by itself. */
static void read_two(const wire_domains *domains, const uint8_t *datagram, size_t size, const uint8_t *packed,
                     uint32_t packed_size) {
    static const uint64_t numbers[2] = {1, UINT64_MAX};
    static uint8_t two[2 * WIRE_PACKED_MAX];
    uint32_t sizes[2] = {(uint32_t)(size / 2), (uint32_t)(size - size / 2)};
    uint32_t packed_sizes[2];
    wire_requests_read(domains, datagram, 0, sizes, numbers, 2, two, sizeof two, packed_sizes);
    sizes[0] = (uint32_t)size;
    wire_requests_read(domains, datagram, 0, sizes, numbers + 1, 1, two, sizeof two, packed_sizes);
    CHECK(packed_sizes[0] == packed_size);
    if (packed_size > 0) {
        CHECK(memcmp(two, numbers + 1, sizeof numbers[1]) == 0);
        CHECK(memcmp(two + sizeof numbers[1], packed + sizeof numbers[1], packed_size - sizeof numbers[1]) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t packed[WIRE_PACKED_MAX];
    static uint8_t text[WIRE_SHOWN_MAX];
    wire_domains *domains = make_domains();
    input from = {data, size};
    uint8_t *datagram = next_octets(&from, &size);
    uint32_t sizes[1] = {(uint32_t)size};
    uint32_t packed_sizes[1];
    wire_requests_read(domains, datagram, size, sizes, NULL, 1, packed, sizeof packed, packed_sizes);
    CHECK(packed_sizes[0] <= WIRE_PACKED_MAX);
    read_two(domains, datagram, size, packed, packed_sizes[0]);
    if (packed_sizes[0] > 0) {
        uint8_t *copy = malloc(packed_sizes[0]);
        CHECK(copy != NULL);
        memcpy(copy, packed, packed_sizes[0]);
        CHECK(wire_match(domains, copy, packed_sizes[0]) == 0);
        CHECK(memcmp(copy, packed, packed_sizes[0]) == 0);
        CHECK(wire_request_show(copy, packed_sizes[0], text, sizeof text) > 0);
        CHECK(wire_request_show(copy, packed_sizes[0], text, 100) == WIRE_NO_SPACE);
        CHECK(wire_request_show(copy, packed_sizes[0] - 1, text, sizeof text) == WIRE_UNUSUAL);
        show_lines(copy, packed_sizes[0]);
        uint64_t by_domain[5] = {0};
        wire_histogram seconds = {.size = 0};
        wire_requests_note_time(copy, packed_sizes, 1, 1);
        wire_requests_ended(copy, packed_sizes[0], 2, by_domain, 5, &seconds);
        CHECK(seconds.counts[0] == 1);
        free(copy);
    }
    uint64_t none[1] = {0};
    wire_histogram any = {.size = 0};
    wire_requests_ended(datagram, size, 2, none, 1, &any);
    wire_match(domains, datagram, size);
    wire_request_show(datagram, size, text, sizeof text);
    static const wire_line nothing = {"", "", "", 0, 0, 0};
    uint32_t ends[1];
    wire_requests_show(datagram, size, &nothing, text, sizeof text, ends, 1);
    free(datagram);
    wire_domains_free(domains);
    return 0;
}
