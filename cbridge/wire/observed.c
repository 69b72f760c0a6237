#include "observed.h"

#include <string.h>

#include "packed.h"

void wire_histogram_add(wire_histogram *histogram, double value) {
    uint32_t at = 0;
    while (at < histogram->size && value > histogram->bounds[at]) {
        at++;
    }
    histogram->counts[at]++;
    histogram->sum += value;
}

void wire_reply_count(wire_reply_counts *counts, int rcode, double seconds) {
    if (rcode >= 0 && rcode < WIRE_RCODES) {
        counts->rcodes[rcode]++;
    }
    wire_histogram_add(&counts->seconds, seconds);
}

void wire_requests_note_time(uint8_t *packed, const uint32_t *packed_sizes, size_t count, double now) {
    for (size_t i = 0; i < count; packed += packed_sizes[i], i++) {
        if (packed_sizes[i] > 0) {
            memcpy(packed + offsetof(wire_packed, read_at), &now, sizeof now);
        }
    }
}

void wire_requests_ended(const uint8_t *records, size_t size, double now, uint64_t *by_domain, size_t domains,
                         wire_histogram *seconds) {
    while (size >= sizeof(wire_packed)) {
        wire_packed head;
        memcpy(&head, records, sizeof head);
        size_t whole = sizeof head + head.dhcid_size + head.fqdn_size;
        if (whole > size) {
            return;
        }
        uint32_t number = head.forward != 0 ? head.forward : head.reverse;
        if (number < domains) {
            by_domain[number]++;
        }
        if (head.read_at > 0) {
            wire_histogram_add(seconds, now - head.read_at);
        }
        records += whole;
        size -= whole;
    }
}
