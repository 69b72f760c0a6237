#include "tries.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "context_use.h"
#include "error.h"
#include "try_table.h"

/* Python reads events as pairs of int32_t (pyd2/update/inflight/native.py). */
_Static_assert(sizeof(wire_event) == 2 * sizeof(int32_t), "an event is two numbers");
_Static_assert(offsetof(wire_event, outcome) == sizeof(int32_t), "an event is two numbers");

wire_tries *wire_tries_new(void) {
    return calloc(1, sizeof(wire_tries));
}

void wire_tries_free(wire_tries *tries) {
    if (tries != NULL) {
        free(tries->tries);
        free(tries->table);
        free(tries->queues);
        free(tries);
    }
}

uint32_t wire_tries_count(const wire_tries *tries) {
    return tries->count;
}

/* The query ID and the slot are random, so the bits need no stirring; the lane takes part for what they share. */
static size_t place_of(const wire_tries *tries, const wire_lane *lane, uint64_t query) {
    uint64_t bits = (query ^ (uintptr_t)lane >> 4) * 0x9E3779B97F4A7C15;
    return (size_t)(bits >> 32) & tries->mask;
}

int32_t wire_tries_find(const wire_tries *tries, const wire_lane *lane, uint64_t query) {
    int32_t at = tries->capacity > 0 ? tries->table[place_of(tries, lane, query)] : WIRE_NONE;
    while (at != WIRE_NONE && (tries->tries[at].query != query || tries->tries[at].lane != lane)) {
        at = tries->tries[at].chain;
    }
    return at;
}

int64_t wire_tries_query(const wire_tries *tries, uint32_t number, const wire_lane *lane) {
    bool found = number < tries->capacity && tries->tries[number].lane == lane;
    return found ? (int64_t)tries->tries[number].query : WIRE_NONE;
}

size_t wire_tries_of_lane(const wire_tries *tries, const wire_lane *lane, uint32_t *numbers, size_t count) {
    size_t found = 0;
    for (uint32_t number = 0; number < tries->capacity && found < count; number++) {
        if (tries->tries[number].lane == lane) {
            numbers[found++] = number;
        }
    }
    return found;
}

static void link_try(wire_tries *tries, int32_t number) {
    wire_try *try = &tries->tries[number];
    int32_t *place = &tries->table[place_of(tries, try->lane, try->query)];
    try->chain = *place;
    *place = number;
}

bool wire_tries_reserve(wire_tries *tries, uint32_t number) {
    if (number < tries->capacity) {
        return true;
    }
    size_t capacity = tries->capacity > 0 ? 2 * tries->capacity : 64;
    while (capacity <= number) {
        capacity *= 2;
    }
    wire_try *states = realloc(tries->tries, capacity * sizeof *states);
    if (states == NULL) {
        return false;
    }
    tries->tries = states;
    int32_t *table = malloc(capacity * sizeof *table);
    if (table == NULL) {
        return false;
    }
    memset(states + tries->capacity, 0, (capacity - tries->capacity) * sizeof *states);
    free(tries->table);
    tries->table = table;
    tries->capacity = capacity;
    tries->mask = capacity - 1;
    for (size_t i = 0; i < capacity; i++) {
        table[i] = WIRE_NONE;
    }
    for (size_t i = 0; i < capacity; i++) {
        if (states[i].lane != NULL) {
            link_try(tries, (int32_t)i);
        }
    }
    return true;
}

bool wire_tries_find_queue(wire_tries *tries, double timeout, uint32_t *found) {
    size_t at = tries->queues_count;
    for (size_t i = tries->queues_count; i-- > 0;) {
        if (tries->queues[i].timeout == timeout) {
            *found = (uint32_t)i;
            return true;
        }
        if (tries->queues[i].first == WIRE_NONE) {
            at = i;
        }
    }
    if (at == tries->queues_count) {
        wire_deadlines *queues = realloc(tries->queues, (at + 1) * sizeof *queues);
        if (queues == NULL) {
            return false;
        }
        tries->queues = queues;
        tries->queues_count++;
    }
    tries->queues[at] = (wire_deadlines){timeout, WIRE_NONE, WIRE_NONE};
    *found = (uint32_t)at;
    return true;
}

wire_try *wire_tries_add(wire_tries *tries, wire_lane *lane, uint64_t query, uint32_t number, double now,
                        uint32_t queue_number) {
    wire_deadlines *queue = &tries->queues[queue_number];
    wire_try *try = &tries->tries[number];
    try->lane = lane;
    try->context = NULL;
    try->query = query;
    try->sent_at = now;
    try->deadline = now + queue->timeout;
    try->queue = queue_number;
    try->before = queue->last;
    try->behind = WIRE_NONE;
    *(queue->last != WIRE_NONE ? &tries->tries[queue->last].behind : &queue->first) = (int32_t)number;
    queue->last = (int32_t)number;
    link_try(tries, (int32_t)number);
    tries->count++;
    wire_window_sent(&lane->window);
    return try;
}

void wire_tries_end(wire_tries *tries, int32_t number) {
    wire_try *try = &tries->tries[number];
    int32_t *link = &tries->table[place_of(tries, try->lane, try->query)];
    while (*link != number) {
        link = &tries->tries[*link].chain;
    }
    *link = try->chain;
    wire_deadlines *queue = &tries->queues[try->queue];
    *(try->before != WIRE_NONE ? &tries->tries[try->before].behind : &queue->first) = try->behind;
    *(try->behind != WIRE_NONE ? &tries->tries[try->behind].before : &queue->last) = try->before;
    try->lane = NULL;
    tries->count--;
    if (try->context != NULL) {
        wire_context_end_try(try->context, try->context_number);
    }
}

int wire_tries_enter(wire_tries *tries, wire_lane *lane, uint64_t query, uint32_t number, double now,
                     double timeout, bool feeds_window) {
    uint32_t queue = 0;
    if (!wire_tries_reserve(tries, number) || !wire_tries_find_queue(tries, timeout, &queue)) {
        return WIRE_NO_SPACE;
    }
    wire_try *try = wire_tries_add(tries, lane, query, number, now, queue);
    try->route = NULL;
    try->then = NULL;
    try->mac_size = 0;
    try->feeds_window = feeds_window;
    return 0;
}

int32_t wire_tries_withdraw(wire_tries *tries, wire_lane *lane, uint64_t query, double now) {
    int32_t number = wire_tries_find(tries, lane, query);
    if (number != WIRE_NONE) {
        wire_tries_end(tries, number);
        wire_window_withdrawn(&lane->window, now);
    }
    return number;
}

size_t wire_tries_expire(wire_tries *tries, double now, int32_t *numbers, size_t count) {
    size_t found = 0;
    for (size_t i = 0; i < tries->queues_count; i++) {
        int32_t first;
        while (found < count && (first = tries->queues[i].first) != WIRE_NONE && tries->tries[first].deadline <= now) {
            wire_lane *lane = tries->tries[first].lane;
            if (tries->tries[first].feeds_window) {
                wire_window_timed_out(&lane->window, tries->tries[first].sent_at, now);
            } else {
                wire_window_withdrawn(&lane->window, now);
            }
            wire_quarantine_add(&lane->quarantined, (uint16_t)tries->tries[first].query, now);
            wire_tries_end(tries, first);
            numbers[found++] = first;
        }
    }
    return found;
}

double wire_tries_deadline(const wire_tries *tries) {
    double earliest = INFINITY;
    for (size_t i = 0; i < tries->queues_count; i++) {
        int32_t first = tries->queues[i].first;
        if (first != WIRE_NONE && tries->tries[first].deadline < earliest) {
            earliest = tries->tries[first].deadline;
        }
    }
    return earliest;
}

size_t wire_tries_mac(const wire_tries *tries, uint32_t number, uint8_t mac[WIRE_MAC_MAX]) {
    if (number >= tries->capacity) {
        return 0;
    }
    const wire_try *try = &tries->tries[number];
    memcpy(mac, try->mac, try->mac_size);
    return try->mac_size;
}

const wire_context *wire_tries_context(const wire_tries *tries, uint32_t number) {
    return number < tries->capacity ? tries->tries[number].context : NULL;
}

void wire_tries_abandon(wire_tries *tries) {
    for (size_t i = 0; i < tries->capacity; i++) {
        wire_try *try = &tries->tries[i];
        if (try->lane != NULL && try->context != NULL) {
            wire_context_end_try(try->context, try->context_number);
            try->context = NULL;
        }
    }
}
