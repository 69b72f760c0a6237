/* Fuzzes datagrams in a row: the input is a row. What can be read is written as it was. */
#include "error.h"
#include "harness.h"
#include "joined.h"

/* Return memory for so many octets, in which AddressSanitizer sees the end. */
static void *memory(size_t size) {
    void *octets = malloc(size > 0 ? size : 1);
    CHECK(octets != NULL);
    return octets;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input from = {data, size};
    uint8_t *octets = next_octets(&from, &size);
    int32_t found = wire_joined_count(octets, size);
    CHECK(found >= 0 || found == WIRE_UNUSUAL);
    if (found >= 0) {
        size_t count = (size_t)found;
        uint8_t *datagrams = memory(size - 2 * count);
        uint32_t *sizes = memory(count * sizeof *sizes);
        uint64_t *clients = memory(count * sizeof *clients);
        wire_joined_read(octets, count, datagrams, sizes);
        wire_joined_clients(octets, count, clients);
        CHECK(wire_joined_size(sizes, count) == size);
        uint8_t *again = memory(size);
        CHECK(wire_joined_write(datagrams, 0, sizes, count, again) == size);
        CHECK(memcmp(again, octets, size) == 0);
        if (count > 0) {
            CHECK(wire_joined_write(datagrams, 1, sizes, 1, again) == 2 + sizes[0]);
        }
        free(again);
        free(clients);
        free(sizes);
        free(datagrams);
    }
    free(octets);
    return 0;
}
