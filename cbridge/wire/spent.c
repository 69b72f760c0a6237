#include "spent.h"

#include <stdlib.h>
#include <string.h>

enum { WORDS = 65536 / 64 };

static const double PERIOD = 10;

/* Let a period begin, in the memory of the one that is forgotten. */
static void turn(wire_spent *spent, double now) {
    uint64_t *forgotten = spent->bits[1];
    spent->bits[1] = spent->bits[0];
    spent->bits[0] = forgotten;
    if (forgotten != NULL) {
        memset(forgotten, 0, WORDS * sizeof *forgotten);
    }
    spent->count = 0;
    spent->since = now;
}

void wire_spent_add(wire_spent *spent, uint16_t query_id, double now) {
    if (now - spent->since > PERIOD) {
        turn(spent, now);
    }
    if (spent->count >= WIRE_SPENT_MAX) {
        return;
    }
    if (spent->bits[0] == NULL) {
        spent->bits[0] = calloc(WORDS, sizeof *spent->bits[0]);
    }
    if (spent->bits[0] != NULL) { /* without memory it may come again at once, which does harm in rare cases only */
        spent->bits[0][query_id / 64] |= UINT64_C(1) << query_id % 64;
        spent->count++;
    }
}

bool wire_spent_has(const wire_spent *spent, uint16_t query_id) {
    for (int i = 0; i < 2; i++) {
        if (spent->bits[i] != NULL && spent->bits[i][query_id / 64] >> query_id % 64 & 1) {
            return true;
        }
    }
    return false;
}

void wire_spent_free(wire_spent *spent) {
    free(spent->bits[0]);
    free(spent->bits[1]);
}
