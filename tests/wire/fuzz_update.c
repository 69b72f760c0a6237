/*
 * Fuzzes the encoder, and the signing of what it wrote: the input has the records of the template, the sizes of
 * the names, the DHCID and the buffer, and their octets. Names are read back from the message.
 */
#include "error.h"
#include "harness.h"
#include "name_find.h"
#include "tsig.h"
#include "update.h"

static const uint8_t ALGORITHM[] = "\13hmac-sha256";

static void check_first_owner(const uint8_t *message, size_t size, size_t at, const wire_name *owner) {
    uint8_t lower[WIRE_NAME_MAX];
    size_t lower_size = 0;
    int behind = wire_read_name(message, size, at, lower, &lower_size);
    CHECK(behind > 0 && lower_size == owner->size && memcmp(lower, owner->lower, lower_size) == 0);
}

static void check_signing(const uint8_t *message, size_t size, const uint8_t *name, size_t name_size, size_t buffer_size) {
    wire_key *key = wire_key_new(name, name_size, ALGORITHM, sizeof ALGORITHM, "sha256", name, name_size, 32);
    CHECK(key != NULL);
    uint8_t *buffer = malloc(buffer_size > 0 ? buffer_size : 1);
    CHECK(buffer != NULL);
    int written = wire_sign(key, message, size, 0x1234, 1700000000, buffer, buffer_size);
    CHECK(written <= (int)buffer_size);
    CHECK(written < 0 || (buffer[0] == 0x12 && buffer[11] == message[11] + 1 && (size_t)written > size));
    CHECK(written >= 0 || written == WIRE_NO_SPACE);
    free(buffer);
    wire_key_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input from = {data, size};
    wire_template update = {.prerequisites = next_octet(&from) % 6, .updates = next_octet(&from) % 6};
    for (int i = 0; i < WIRE_RECORDS_MAX; i++) {
        unsigned octet = next_octet(&from);
        update.records[i] = (wire_record){(uint16_t)(octet >> 4), 1, octet & 7, octet >> 3 & 1};
    }
    size_t sizes[4]; /* of zone, owner, target, DHCID */
    for (int i = 0; i < 4; i++) {
        sizes[i] = next_octet(&from);
    }
    size_t address_size = next_octet(&from) % 18;
    size_t buffer_size = 8U * next_octet(&from);
    uint8_t *octets[4];
    for (int i = 0; i < 4; i++) {
        octets[i] = next_octets(&from, &sizes[i]);
    }
    uint8_t *address = next_octets(&from, &address_size);
    uint8_t *buffer = malloc(buffer_size > 0 ? buffer_size : 1);
    CHECK(buffer != NULL);
    wire_name zone;
    wire_name owner;
    if (wire_name_set(&zone, octets[0], sizes[0]) == 0) {
        int written = wire_update_write(&update, &zone, octets[1], sizes[1], octets[2], sizes[2], address,
                                        address_size, octets[3], sizes[3], 3600, buffer, buffer_size);
        CHECK(written <= (int)buffer_size);
        if (written > 0) {
            int found = sizes[1] > 0 ? wire_name_set(&owner, octets[1], sizes[1])
                                     : wire_name_set_reverse(&owner, address, address_size);
            CHECK(found == 0);
            if (update.prerequisites + update.updates > 0) {
                check_first_owner(buffer, (size_t)written, 12 + zone.size + 4, &owner);
            }
            check_signing(buffer, (size_t)written, owner.wire, owner.size, buffer_size);
        }
    }
    free(buffer);
    free(address);
    for (int i = 0; i < 4; i++) {
        free(octets[i]);
    }
    return 0;
}
