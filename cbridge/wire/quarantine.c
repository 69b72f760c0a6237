#include "quarantine.h"

#include <stdlib.h>
#include <string.h>

enum { WORDS = 65536 / 64 };

static const double PERIOD = 10;

/* Let a period begin, in the memory of the one that is forgotten. */
static void begin_period(wire_quarantine *quarantine, double now) {
    uint64_t *forgotten = quarantine->bits[1];
    quarantine->bits[1] = quarantine->bits[0];
    quarantine->bits[0] = forgotten;
    if (forgotten != NULL) {
        memset(forgotten, 0, WORDS * sizeof *forgotten);
    }
    quarantine->count = 0;
    quarantine->since = now;
}

void wire_quarantine_add(wire_quarantine *quarantine, uint16_t query_id, double now) {
    if (now - quarantine->since > PERIOD) {
        begin_period(quarantine, now);
    }
    if (quarantine->count >= WIRE_QUARANTINE_MAX) {
        return;
    }
    if (quarantine->bits[0] == NULL) {
        quarantine->bits[0] = calloc(WORDS, sizeof *quarantine->bits[0]);
    }
    if (quarantine->bits[0] != NULL) { /* without memory it may come again at once, which does harm in rare cases only */
        quarantine->bits[0][query_id / 64] |= UINT64_C(1) << query_id % 64;
        quarantine->count++;
    }
}

bool wire_quarantine_has(const wire_quarantine *quarantine, uint16_t query_id) {
    for (int i = 0; i < 2; i++) {
        if (quarantine->bits[i] != NULL && quarantine->bits[i][query_id / 64] >> query_id % 64 & 1) {
            return true;
        }
    }
    return false;
}

void wire_quarantine_free(wire_quarantine *quarantine) {
    free(quarantine->bits[0]);
    free(quarantine->bits[1]);
}
