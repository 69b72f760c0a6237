/* Fuzzes the tries: what the octets say is done to them, and what must hold is looked at after each step. */
#include <math.h>

#include "harness.h"
#include "packed.h"
#include "tries.h"

enum { TRANSACTIONS = 40, LANES = 2, STRIDE = 128, CONTEXTS = 2, MIC_SIZE = 28 };

static const uint8_t ZONE[] = "\7example\3com";
static const uint8_t KEY_NAME[] = "\1k";
static const uint8_t ALGORITHM[] = "\13hmac-sha256";
static const wire_template UPDATE = {
    1, 2, {{255, 254, WIRE_DATA_NONE, 0}, {0, 1, WIRE_DATA_ADDRESS, 1}, {49, 1, WIRE_DATA_DHCID, 1}}};

/* The world of one input. */
typedef struct {
    wire_tries *tries;
    wire_lane *lanes[LANES];
    wire_name zone;
    wire_route forward;
    wire_route reverse;
    wire_route asks;
    wire_route secure; /* signed by contexts */
    wire_contexts contexts;
    int under_way[TRANSACTIONS]; /* the lane and 1, or 0 */
    wire_turn turn;
    uint8_t random[64];
} world;

/* A GSS-API that signs, and believes every other signature. */
static uint32_t get_mic(uint32_t *minor, void *context, uint32_t quality, wire_gss_octets *message,
                        wire_gss_octets *mic) {
    (void)context, (void)quality;
    *minor = 0;
    *mic = (wire_gss_octets){MIC_SIZE, calloc(1, MIC_SIZE)};
    CHECK(mic->octets != NULL && message->size > 12);
    return message->size % 16 == 0 ? 1 : 0;
}

static uint32_t verify_mic(uint32_t *minor, void *context, wire_gss_octets *message, wire_gss_octets *mic,
                           uint32_t *quality) {
    (void)context, (void)quality;
    *minor = 0;
    CHECK(message->size > 12 && mic->size > 0);
    return ((const uint8_t *)mic->octets)[0] & 1;
}

static uint32_t release_buffer(uint32_t *minor, wire_gss_octets *octets) {
    *minor = 0;
    free(octets->octets);
    return 0;
}

static uint32_t delete_sec_context(uint32_t *minor, void **context, wire_gss_octets *token) {
    (void)token;
    *minor = 0;
    *context = NULL;
    return 0;
}

/* Write a packed request; its DHCID has as many octets as is said. Returns its size. */
static size_t write_record(uint8_t *buffer, size_t dhcid_size) {
    static const uint8_t fqdn[] = "\4host\7example\3com";
    wire_packed head = {.lease_length = 60, .dhcid_size = (uint16_t)dhcid_size, .fqdn_size = sizeof fqdn,
                        .ways = WIRE_FORWARD | WIRE_REVERSE, .address_size = 4};
    memcpy(buffer, &head, sizeof head);
    memset(buffer + sizeof head, 7, dhcid_size);
    memcpy(buffer + sizeof head + dhcid_size, fqdn, sizeof fqdn);
    return sizeof head + dhcid_size + sizeof fqdn;
}

static void send_some(world *w, input *from) {
    uint32_t lane = next_octet(from) % LANES;
    uint32_t numbers[TRANSACTIONS];
    uint32_t declined[TRANSACTIONS];
    const wire_route *routes[TRANSACTIONS];
    const wire_route *then[TRANSACTIONS];
    size_t used = 0;
    size_t count = 0;
    uint8_t *records = NULL;
    for (uint32_t number = 0; number < TRANSACTIONS && from->left > 0; number++) {
        uint8_t what = next_octet(from);
        if (w->under_way[number] != 0 || what % 3 != 0) {
            continue;
        }
        uint8_t record[WIRE_PACKED_MAX];
        size_t size = write_record(record, what % 5 == 0 ? 600 : what);
        records = realloc(records, used + size);
        CHECK(records != NULL);
        memcpy(records + used, record, size);
        used += size;
        const wire_route *plain = what % 2 ? &w->forward : &w->reverse;
        routes[count] = what % 7 == 0 ? &w->asks : what % 7 == 1 ? &w->secure : plain;
        then[count] = what % 4 && what % 7 ? &w->reverse : NULL;
        numbers[count++] = number;
    }
    if (count > 0 && next_octet(from) % 4 == 0) {
        used -= 1; /* the last record is cut */
        records = realloc(records, used);
    }
    int left_out = wire_tries_send(w->tries, w->lanes[lane], &w->turn, routes, then, numbers, count, records, used,
                                   declined);
    CHECK(left_out >= 0 && (size_t)left_out <= count);
    for (size_t i = 0, at = 0; i < count; i++) {
        if (at < (size_t)left_out && declined[at] == i) {
            at++;
        } else {
            w->under_way[numbers[i]] = (int)lane + 1;
        }
    }
    free(records);
}

/* Write a datagram that may be an answer to a question. Returns its size. */
static uint32_t write_answer(uint8_t *buffer, input *from) {
    static const uint8_t question[] = "\4Host\7example\3com\0\0\x31\0\1";
    static const uint8_t record[] = "\xC0\x0C\0\x31\0\1\0\0\1";
    uint8_t dhcid_size = next_octet(from) % 40;
    uint8_t counts[8] = {0, 1, 0, next_octet(from) % 4, 0, 0, 0, next_octet(from) % 8 == 0};
    uint8_t *at = buffer + 4;
    buffer[2] = (uint8_t)(0x84 | (next_octet(from) & 2));
    buffer[3] = next_octet(from) % 4;
    memcpy(at, counts, sizeof counts);
    at += sizeof counts;
    memcpy(at, question, sizeof question - 1);
    at += sizeof question - 1;
    memcpy(at, record, sizeof record);
    at += sizeof record;
    *at++ = 0;
    *at++ = dhcid_size;
    memset(at, 7, dhcid_size);
    return (uint32_t)(at - buffer) + dhcid_size - next_octet(from) % 3;
}

static void take_some(world *w, input *from) {
    uint32_t lane = next_octet(from) % LANES;
    uint32_t slot = next_octet(from) % 4;
    uint32_t sizes[4];
    wire_event events[4];
    size_t count = 0;
    uint8_t *buffer = calloc(4, STRIDE);
    CHECK(buffer != NULL);
    for (uint32_t number = 0; number < TRANSACTIONS && count < 4; number++) {
        int64_t query = wire_tries_query(w->tries, number, w->lanes[lane]);
        if (query >= 0 && query >> 16 == slot) {
            uint8_t reply[12] = {(uint8_t)(query >> 8), (uint8_t)query, (uint8_t)(0xA8 | (next_octet(from) & 2)),
                                 next_octet(from) % 12};
            memcpy(buffer + STRIDE * count, reply, sizeof reply);
            sizes[count] = next_octet(from) % 8 ? sizeof reply : next_octet(from) % 12;
            if (next_octet(from) % 2) {
                sizes[count] = write_answer(buffer + STRIDE * count, from);
            }
            count++;
        }
    }
    w->turn.goes_on = next_octet(from) % 2;
    wire_tries_read_replies(w->tries, w->lanes[lane], slot, buffer, STRIDE, sizes, count, &w->turn, events);
    for (size_t i = 0; i < count; i++) {
        if (events[i].outcome == WIRE_NO_TRY) {
            CHECK(events[i].number == -1);
        } else if (events[i].outcome != WIRE_TRY_NEXT) {
            CHECK(w->under_way[events[i].number] == (int)lane + 1);
            CHECK((events[i].outcome & ~WIRE_TRY_LAST) < WIRE_RCODES);
            uint8_t mac[WIRE_MAC_MAX];
            CHECK(wire_tries_mac(w->tries, (uint32_t)events[i].number, mac) <= WIRE_MAC_MAX);
            w->under_way[events[i].number] = 0;
        }
    }
    free(buffer);
}

static void do_one(world *w, input *from) {
    uint8_t what = next_octet(from);
    uint32_t number = next_octet(from) % TRANSACTIONS;
    int32_t ended[4];
    w->turn.now += next_octet(from) / 256.0;
    w->turn.slot = what / 16 % 4;
    switch (what % 8) {
    case 0:
    case 1:
        send_some(w, from);
        break;
    case 2:
    case 3:
        take_some(w, from);
        break;
    case 4:
        for (size_t i = wire_tries_expire(w->tries, w->turn.now, ended, 4); i-- > 0;) {
            CHECK(w->under_way[ended[i]] != 0);
            w->under_way[ended[i]] = 0;
        }
        break;
    case 5:
        if (w->under_way[number] != 0) {
            wire_lane *lane = w->lanes[w->under_way[number] - 1];
            int64_t query = wire_tries_query(w->tries, number, lane);
            CHECK(query >= 0 && wire_tries_find(w->tries, lane, (uint64_t)query) == (int32_t)number);
            CHECK(wire_tries_withdraw(w->tries, lane, (uint64_t)query, w->turn.now) == (int32_t)number);
            w->under_way[number] = 0;
        } else if (wire_tries_find(w->tries, w->lanes[0], number) < 0) {
            CHECK(wire_tries_enter(w->tries, w->lanes[0], number, number, w->turn.now, what, number % 2 == 0) == 0);
            w->under_way[number] = 1;
        }
        break;
    case 6: {
        wire_lane *lane = w->lanes[what / 8 % LANES];
        while (lane->first < lane->count && next_octet(from) % 8) {
            wire_lane_skip(lane);
        }
        break;
    }
    default:
        w->turn.timeout = 0.25 * (1 + next_octet(from) % 3);
    }
}

/* The messages of the outbox stand one behind the other, and each has the octets of its own. */
static void check_outbox(const wire_lane *lane) {
    uint32_t at = lane->first < lane->count ? lane->messages[lane->first].at : lane->used;
    for (uint32_t i = lane->first; i < lane->count; i++) {
        const wire_outgoing *message = &lane->messages[i];
        CHECK(message->at == at && message->size > 2 && message->size <= lane->used - at);
        CHECK((uint32_t)(lane->octets[at] << 8 | lane->octets[at + 1]) == message->query_id);
        at += message->size;
    }
    CHECK(at == lane->used && lane->used <= lane->octets_capacity && lane->count <= lane->capacity);
}

static void check(const world *w) {
    uint32_t counts[LANES] = {0};
    for (int number = 0; number < TRANSACTIONS; number++) {
        if (w->under_way[number] != 0) {
            counts[w->under_way[number] - 1]++;
        }
    }
    CHECK(wire_tries_count(w->tries) == counts[0] + counts[1]);
    CHECK(isinf(wire_tries_deadline(w->tries)) == (counts[0] + counts[1] == 0));
    for (int lane = 0; lane < LANES; lane++) {
        CHECK(w->lanes[lane]->window.in_flight == (int32_t)counts[lane]);
        check_outbox(w->lanes[lane]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static wire_key *key;
    if (key == NULL) {
        key = wire_key_new(KEY_NAME, sizeof KEY_NAME, ALGORITHM, sizeof ALGORITHM, "sha256", KEY_NAME, 1, 32);
    }
    world w = {.tries = wire_tries_new(), .lanes = {wire_lane_new(20), wire_lane_new(500)}};
    CHECK(key != NULL && w.tries != NULL && w.lanes[0] != NULL && w.lanes[1] != NULL);
    CHECK(wire_name_set(&w.zone, ZONE, sizeof ZONE) == 0);
    w.forward = (wire_route){.update = &UPDATE, .zone = &w.zone, .key = key, .done = 1, .forward = 1};
    w.reverse = (wire_route){.update = &UPDATE, .zone = &w.zone, .done = 1};
    w.asks = (wire_route){.key = size % 2 ? key : NULL, .forward = 1};
    static const wire_gss gss = {get_mic, verify_mic, release_buffer, delete_sec_context, NULL, NULL};
    w.contexts.count = CONTEXTS;
    for (int i = 0; i < CONTEXTS; i++) {
        w.contexts.contexts[i] = wire_context_new(&gss, NULL, KEY_NAME, sizeof KEY_NAME, 1700000001, i == 0);
        CHECK(w.contexts.contexts[i] != NULL);
    }
    w.secure = (wire_route){.update = &UPDATE, .zone = &w.zone, .contexts = &w.contexts, .done = 1, .forward = 1};
    input from = {data, size};
    for (size_t i = 0; i < sizeof w.random; i++) {
        w.random[i] = next_octet(&from) % 16;
    }
    w.turn = (wire_turn){.now = 1, .timeout = 0.5, .wall = 1700000000, .random = w.random,
                         .random_size = sizeof w.random};
    w.lanes[0]->replies.seconds.bounds[0] = 0.25;
    w.lanes[0]->replies.seconds.size = 1;
    w.lanes[0]->replies.on = true;
    while (from.left > 0) {
        do_one(&w, &from);
        check(&w);
    }
    uint64_t replies = 0;
    for (int rcode = 0; rcode < WIRE_RCODES; rcode++) {
        replies += w.lanes[0]->replies.rcodes[rcode];
        CHECK(w.lanes[1]->replies.rcodes[rcode] == 0);
    }
    const wire_histogram *seconds = &w.lanes[0]->replies.seconds;
    CHECK(replies <= seconds->counts[0] + seconds->counts[1] && seconds->counts[2] == 0);
    wire_tries_abandon(w.tries);
    for (int i = 0; i < CONTEXTS; i++) {
        CHECK(!wire_context_busy(w.contexts.contexts[i]) && wire_context_span(w.contexts.contexts[i]) == 0);
        wire_context_free(w.contexts.contexts[i]);
    }
    wire_tries_free(w.tries);
    wire_lane_free(w.lanes[0]);
    wire_lane_free(w.lanes[1]);
    return 0;
}
