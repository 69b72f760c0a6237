/*
 * Fuzzes the encoder of messages with the changes of many owners: the input has how many there are, the direction,
 * the sizes of the zone and of the buffer, eight templates, the zone, and the packed requests.
 */
#include "error.h"
#include "harness.h"
#include "update_batch.h"

enum { TEMPLATES = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input from = {data, size};
    size_t count = next_octet(&from);
    bool forward = next_octet(&from) & 1;
    size_t zone_size = next_octet(&from);
    size_t buffer_size = 32U * next_octet(&from);
    wire_template templates[TEMPLATES];
    const wire_template *chosen[256];
    for (int i = 0; i < TEMPLATES; i++) {
        templates[i] = (wire_template){.prerequisites = next_octet(&from) % 6, .updates = next_octet(&from) % 6};
        for (int j = 0; j < WIRE_RECORDS_MAX; j++) {
            unsigned octet = next_octet(&from);
            templates[i].records[j] = (wire_record){(uint16_t)(octet >> 4), 1, octet & 7, octet >> 3 & 1};
        }
    }
    for (size_t i = 0; i < 256; i++) {
        chosen[i] = &templates[i % TEMPLATES];
    }
    uint8_t *name = next_octets(&from, &zone_size);
    size_t records_size = from.left;
    uint8_t *records = next_octets(&from, &records_size);
    uint8_t *buffer = malloc(buffer_size > 0 ? buffer_size : 1);
    CHECK(buffer != NULL);
    wire_name zone;
    if (wire_name_set(&zone, name, zone_size) == 0) {
        int written = wire_batch_write(&zone, chosen, count, records, records_size, forward, buffer, buffer_size);
        CHECK(written <= (int)buffer_size);
        CHECK(written > 0 || written == WIRE_NO_SPACE || written == WIRE_UNUSUAL || written == WIRE_BAD_NAME);
    }
    free(buffer);
    free(records);
    free(name);
    return 0;
}
