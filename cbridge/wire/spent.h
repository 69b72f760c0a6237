/* Query IDs whose time was up a short while ago. pyd2/update/server/id_quarantine.py is the same in Python and tells why. */
#ifndef PYD2_WIRE_SPENT_H
#define PYD2_WIRE_SPENT_H

#include <stdbool.h>
#include <stdint.h>

enum { WIRE_SPENT_MAX = 4096 };

/* The IDs of the present period and of the one before. Times are monotonic seconds. */
typedef struct {
    uint64_t *bits[2]; /* one for each ID; null: there is none */
    uint32_t count;    /* in the present period */
    double since;      /* when it began */
} wire_spent;

void wire_spent_add(wire_spent *spent, uint16_t query_id, double now);
bool wire_spent_has(const wire_spent *spent, uint16_t query_id);
void wire_spent_free(wire_spent *spent);

#endif
