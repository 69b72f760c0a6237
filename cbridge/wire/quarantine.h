/* Query IDs whose time was up a short while ago. pyd2/update/server/id_quarantine.py, the same in Python, explains it. */
#ifndef PYD2_WIRE_QUARANTINE_H
#define PYD2_WIRE_QUARANTINE_H

#include <stdbool.h>
#include <stdint.h>

enum { WIRE_QUARANTINE_MAX = 4096 };

/* The IDs of the present period and of the one before. Times are monotonic seconds. */
typedef struct {
    uint64_t *bits[2]; /* one for each ID; null: there is none */
    uint32_t count;    /* in the present period */
    double since;      /* when it began */
} wire_quarantine;

void wire_quarantine_add(wire_quarantine *quarantine, uint16_t query_id, double now);
bool wire_quarantine_has(const wire_quarantine *quarantine, uint16_t query_id);
void wire_quarantine_free(wire_quarantine *quarantine);

#endif
