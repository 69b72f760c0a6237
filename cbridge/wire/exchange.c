/* Updates out and replies in, by the batch; the interface is in tries.h. */
#include <math.h>
#include <string.h>

#include "answer.h"
#include "context_use.h"
#include "error.h"
#include "outgoing.h"
#include "octets.h"
#include "packed.h"
#include "reply.h"
#include "try_table.h"
#include "tsig_key.h"

enum { UDP_MAX = 512, MESSAGE_MAX = 2048, TRUNCATED = 2, SIGNATURE_TAIL = 6 };

/* What the updates of one call have in common. */
typedef struct {
    wire_tries *tries;
    wire_lane *lane;
    const wire_turn *turn;
    wire_reader random;
    uint32_t queue;
    bool possible;
} sending;

static sending begin_batch(wire_tries *tries, wire_lane *lane, const wire_turn *turn) {
    sending common = {.tries = tries, .lane = lane, .turn = turn};
    common.random = wire_read_from(turn->random, turn->random_size);
    common.possible = wire_tries_find_queue(tries, turn->timeout, &common.queue);
    return common;
}

/* Draw a query ID that is free, and was not in use just now. Returns it, or -1 when there is nothing left to draw from. */
static int draw_query_id(sending *common) {
    uint32_t bits;
    for (const uint8_t *next; (next = wire_read_octets(&common->random, sizeof bits)) != NULL;) {
        memcpy(&bits, next, sizeof bits);
        uint64_t query = (uint64_t)common->turn->slot << 16 | (bits & 0xFFFF);
        if (wire_tries_find(common->tries, common->lane, query) == WIRE_NONE &&
            !wire_quarantine_has(&common->lane->quarantined, (uint16_t)query)) {
            return bits & 0xFFFF;
        }
    }
    return -1;
}

/* Write the message of a packed request without its query ID. Returns its size or an enum wire_error. */
static int write_message(const wire_route *route, const wire_packed *head, const uint8_t *behind, uint8_t *buffer) {
    const uint8_t *dhcid = behind;
    const uint8_t *fqdn = behind + head->dhcid_size;
    if (route->update == NULL) {
        return wire_question_write(fqdn, head->fqdn_size, buffer, MESSAGE_MAX);
    }
    return wire_update_write(route->update, route->zone, fqdn, route->forward ? head->fqdn_size : 0, fqdn,
                             head->fqdn_size, head->address, head->address_size, dhcid, head->dhcid_size,
                             head->lease_length, buffer, MESSAGE_MAX);
}

/* Write a message with its query ID, and sign it as the route says. Returns its size or an enum wire_error. */
static int sign(const sending *common, const wire_route *route, const uint8_t *message, size_t size,
                uint16_t query_id, uint8_t *buffer, wire_context_signature *signature) {
    if (route->contexts != NULL) {
        return wire_contexts_sign(route->contexts, message, size, query_id, common->turn->wall, buffer, MESSAGE_MAX,
                                  signature);
    }
    if (route->key != NULL) {
        return wire_sign(route->key, message, size, query_id, common->turn->wall, buffer, MESSAGE_MAX);
    }
    memcpy(buffer, message, size);
    buffer[0] = (uint8_t)(query_id >> 8);
    buffer[1] = (uint8_t)query_id;
    return (int)size;
}

/* Make a transaction's update, or a question, enter its try and post it. Returns the try, or null if nothing has been done. */
static wire_try *send_one(sending *common, const wire_route *route, uint32_t number, const wire_packed *head,
                          const uint8_t *behind) {
    uint8_t message[MESSAGE_MAX];
    if (!common->possible || !wire_tries_reserve(common->tries, number)) {
        return NULL;
    }
    uint8_t *buffer = wire_lane_reserve(common->lane, MESSAGE_MAX);
    int size = write_message(route, head, behind, message);
    int query_id = buffer != NULL && size >= 0 ? draw_query_id(common) : -1;
    if (query_id < 0) {
        return NULL;
    }
    wire_context_signature signature;
    signature.context = NULL;
    size = sign(common, route, message, (size_t)size, (uint16_t)query_id, buffer, &signature);
    if (size < 0 || size > UDP_MAX) {
        if (signature.context != NULL) {
            wire_context_end(signature.context, signature.number);
        }
        return NULL;
    }
    uint64_t query = (uint64_t)common->turn->slot << 16 | (uint64_t)query_id;
    wire_try *try = wire_tries_add(common->tries, common->lane, query, number, common->turn->now, common->queue);
    try->route = route;
    try->then = NULL;
    try->feeds_window = route->update != NULL;
    try->mac_size = 0;
    if (signature.context != NULL) {
        wire_context_begin_try(signature.context);
        try->context = signature.context;
        try->context_number = signature.number;
        try->mac_size = (uint8_t)signature.mac_size;
        memcpy(try->mac, signature.mac, signature.mac_size);
    } else if (route->key != NULL) {
        try->mac_size = (uint8_t)route->key->mac_size;
        memcpy(try->mac, buffer + size - SIGNATURE_TAIL - try->mac_size, try->mac_size);
    }
    uint32_t owner = route->forward ? wire_owner_digest(behind + head->dhcid_size, head->fqdn_size)
                                    : wire_owner_digest(head->address, head->address_size);
    wire_lane_add(common->lane, common->turn->slot, (uint32_t)query_id, (uint32_t)size, owner);
    return try;
}

int wire_tries_send(wire_tries *tries, wire_lane *lane, const wire_turn *turn, const wire_route *const *routes,
                    const wire_route *const *then, const uint32_t *numbers, size_t count, const uint8_t *records,
                    size_t records_size, uint32_t *declined) {
    wire_reader reader = wire_read_from(records, records_size);
    sending common = begin_batch(tries, lane, turn);
    int left_out = 0;
    for (size_t i = 0; i < count; i++) {
        wire_packed head = {0};
        const uint8_t *record = wire_read_octets(&reader, sizeof head);
        if (record != NULL) {
            memcpy(&head, record, sizeof head);
        }
        const uint8_t *behind = wire_read_octets(&reader, (size_t)head.dhcid_size + head.fqdn_size);
        wire_try *try = NULL;
        if (record != NULL && behind != NULL) {
            try = send_one(&common, routes[i], numbers[i], &head, behind);
        }
        if (try == NULL) {
            declined[left_out++] = (uint32_t)i;
            continue;
        }
        size_t size = sizeof head + head.dhcid_size + head.fqdn_size;
        bool asks = routes[i]->update == NULL;
        if (size <= sizeof try->record && (asks || then[i] != NULL)) {
            try->then = then[i];
            memcpy(try->record, record, size);
        } else if (asks) {
            try->route = NULL; /* the answer is for the caller to judge */
        }
    }
    return left_out;
}

/* Send a transaction's next update, if the window has a free place. Returns whether that is done. */
static bool send_next(sending *common, const wire_route *then, uint32_t number, const uint8_t *record) {
    const wire_window *window = &common->lane->window;
    wire_packed head;
    memcpy(&head, record, sizeof head);
    return window->in_flight < window->limit && isinf(wire_window_paced_until(window)) &&
           send_one(common, then, number, &head, record + sizeof head) != NULL;
}

/* Judge the reply to a try. Returns the RCODE that counts or an enum wire_event_kind. */
static int32_t judge(const wire_try *try, const uint8_t *reply, size_t size, uint64_t wall) {
    const wire_route *route = try->route;
    if (route == NULL) {
        return WIRE_TRY_JUDGE;
    }
    if (route->update == NULL) {
        wire_packed head;
        memcpy(&head, try->record, sizeof head);
        const uint8_t *dhcid = try->record + sizeof head;
        const uint8_t *fqdn = dhcid + head.dhcid_size;
        if (try->context != NULL) {
            return wire_answer_read_by_context(reply, size, try->context, try->mac, try->mac_size, wall, fqdn,
                                               head.fqdn_size, dhcid, head.dhcid_size);
        }
        return wire_answer_read(reply, size, route->key, try->mac, try->mac_size, wall, fqdn, head.fqdn_size, dhcid,
                                head.dhcid_size);
    }
    int rcode = try->context != NULL
                    ? wire_reply_read_by_context(reply, size, try->context, try->mac, try->mac_size, wall)
                    : wire_reply_read(reply, size, route->key, try->mac, try->mac_size, wall);
    return rcode >= 0 && !(reply[2] & TRUNCATED) ? rcode : WIRE_TRY_JUDGE;
}

void wire_tries_read_replies(wire_tries *tries, wire_lane *lane, uint32_t slot, const uint8_t *datagrams, size_t stride,
                     const uint32_t *sizes, size_t count, const wire_turn *turn, wire_event *events) {
    sending common = begin_batch(tries, lane, turn);
    const uint8_t *reply = datagrams;
    for (size_t i = 0; i < count; reply = wire_next_datagram(reply, stride, sizes[i]), i++) {
        int32_t number = WIRE_NONE;
        if (sizes[i] >= 2) {
            number = wire_tries_find(tries, lane, (uint64_t)slot << 16 | (uint64_t)(reply[0] << 8 | reply[1]));
        }
        events[i] = (wire_event){number, WIRE_NO_TRY};
        if (number == WIRE_NONE) {
            continue;
        }
        wire_try *try = &tries->tries[number];
        events[i].outcome = judge(try, reply, sizes[i], turn->wall);
        if (try->feeds_window) {
            wire_window_replied(&lane->window, try->sent_at, turn->now);
        } else {
            wire_window_withdrawn(&lane->window, turn->now);
        }
        if (lane->replies.on) {
            wire_reply_count(&lane->replies, events[i].outcome, turn->now - try->sent_at);
        }
        wire_tries_end(tries, number);
        if (turn->goes_on && try->then != NULL && events[i].outcome >= 0 &&
            try->route->done >> events[i].outcome & 1 && send_next(&common, try->then, (uint32_t)number, try->record)) {
            events[i].outcome = WIRE_TRY_NEXT;
        }
    }
}
