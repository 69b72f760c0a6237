/* Updates out and replies in, by the batch; the face is in tries.h. */
#include <string.h>

#include "error.h"
#include "letters.h"
#include "octets.h"
#include "packed.h"
#include "reply.h"
#include "try_table.h"
#include "tsig_key.h"

enum { UDP_MAX = 512, ROOM = 2048, TRUNCATED = 2, SIGNATURE_TAIL = 6 };

/* Write the update of a packed request without its query ID. Returns its size or an enum wire_error. */
static int write_update(const wire_route *route, const wire_packed *head, const uint8_t *behind, uint8_t *room) {
    const uint8_t *dhcid = behind;
    const uint8_t *fqdn = behind + head->dhcid_size;
    return wire_update_write(route->update, route->zone, fqdn, route->forward ? head->fqdn_size : 0, fqdn,
                             head->fqdn_size, head->address, head->address_size, dhcid, head->dhcid_size,
                             head->lease_length, room, ROOM);
}

/* Draw a query ID that is free. Returns it, or -1 when there is nothing left to draw from. */
static int draw(const wire_tries *tries, const wire_lane *lane, uint32_t slot, wire_reader *random) {
    uint32_t bits;
    for (const uint8_t *next; (next = wire_take(random, sizeof bits)) != NULL;) {
        memcpy(&bits, next, sizeof bits);
        int query_id = bits & 0xFFFF;
        if (wire_tries_find(tries, lane, (uint64_t)slot << 16 | (uint64_t)query_id) == WIRE_NONE) {
            return query_id;
        }
    }
    return -1;
}

int wire_tries_send(wire_tries *tries, wire_lane *lane, uint32_t slot, const wire_route *const *routes,
                    const uint32_t *numbers, size_t count, const uint8_t *records, size_t records_size,
                    const uint8_t *random, size_t random_size, double now, double timeout, uint64_t wall,
                    uint32_t *declined) {
    wire_reader reader = wire_read_from(records, records_size);
    wire_reader drawn_from = wire_read_from(random, random_size);
    uint32_t queue = 0;
    bool possible = wire_tries_find_queue(tries, timeout, &queue);
    int left_out = 0;
    for (size_t i = 0; i < count; i++) {
        const wire_route *route = routes[i];
        wire_packed head = {0};
        const uint8_t *fixed = wire_take(&reader, sizeof head);
        if (fixed != NULL) {
            memcpy(&head, fixed, sizeof head);
        }
        const uint8_t *behind = wire_take(&reader, (size_t)head.dhcid_size + head.fqdn_size);
        uint8_t message[ROOM];
        uint8_t *room = NULL;
        int query_id = -1;
        int size = -1;
        if (behind != NULL && fixed != NULL && possible && wire_tries_make_room(tries, numbers[i])) {
            size = write_update(route, &head, behind, message);
            room = wire_lane_room(lane, ROOM);
            query_id = room != NULL && size >= 0 ? draw(tries, lane, slot, &drawn_from) : -1;
        }
        if (query_id >= 0 && route->key != NULL) {
            size = wire_sign(route->key, message, (size_t)size, (uint16_t)query_id, wall, room, ROOM);
        } else if (query_id >= 0) {
            memcpy(room, message, (size_t)size);
            room[0] = (uint8_t)(query_id >> 8);
            room[1] = (uint8_t)query_id;
        }
        if (query_id < 0 || size < 0 || size > UDP_MAX) {
            declined[left_out++] = (uint32_t)i;
            continue;
        }
        wire_try *try = wire_tries_add(tries, lane, (uint64_t)slot << 16 | (uint64_t)query_id, numbers[i], now, queue);
        try->judged_here = true;
        try->key = route->key;
        try->mac_size = 0;
        if (route->key != NULL) {
            try->mac_size = (uint8_t)route->key->mac_size;
            memcpy(try->mac, room + size - SIGNATURE_TAIL - try->mac_size, try->mac_size);
        }
        wire_lane_add(lane, slot, (uint32_t)query_id, (uint32_t)size);
    }
    return left_out;
}

void wire_tries_take(wire_tries *tries, wire_lane *lane, uint32_t slot, const uint8_t *room, size_t size,
                     const uint32_t *sizes, size_t count, double now, uint64_t wall, wire_event *events) {
    for (size_t i = 0; i < count; i++) {
        const uint8_t *reply = room + i * size;
        int32_t number = WIRE_NONE;
        if (sizes[i] >= 2) {
            number = wire_tries_find(tries, lane, (uint64_t)slot << 16 | (uint64_t)(reply[0] << 8 | reply[1]));
        }
        events[i] = (wire_event){number, WIRE_NO_TRY};
        if (number == WIRE_NONE) {
            continue;
        }
        wire_try *try = &tries->tries[number];
        int rcode = WIRE_UNUSUAL;
        if (try->judged_here) {
            rcode = wire_reply_read(reply, sizes[i], try->key, try->mac, try->mac_size, wall);
        }
        events[i].outcome = rcode >= 0 && !(reply[2] & TRUNCATED) ? rcode : WIRE_TRY_JUDGE;
        wire_window_replied(&lane->window, try->sent_at, now);
        wire_tries_end(tries, number);
    }
}
