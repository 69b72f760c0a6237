#include "sink.h"

#include "clock.h"
#include "fail.h"
#include "octets.h"

enum { WAITING_MAX = 1 << 15, NOERROR = 0, FORMERR = 1, YXDOMAIN = 6, NXRRSET = 8, NOTAUTH = 9, QR = 0x80 };

sink sink_new(const load_options *options, const host_plan *plan, book *requests) {
    return (sink){
        .options = options,
        .plan = plan,
        .requests = requests,
        .key = options->key != NULL ? tsig_key_new(options->key) : NULL,
        .socket = socket_bound(options->address, options->dns_port),
        .arrived = get_memory(BATCH, sizeof(datagram)),
        .replies = get_memory(WAITING_MAX, sizeof(reply)),
        .chance = {0x330E, (uint16_t)options->seed, (uint16_t)(options->seed >> 16)}, /* as srand48 does */
    };
}

/* Whether the next update is lost: with the same seed the same ones. */
static bool is_lost(sink *of) {
    return erand48(of->chance) * 100 < of->options->loss;
}

/* Whether what a host asks for meets a name that others use. */
static bool has_conflict(const sink *of, uint32_t host) {
    return (host * UINT32_C(2654435761) >> 8) % 100 < of->options->conflicts;
}

static unsigned decide(sink *of, const update *asked) {
    if (has_conflict(of, asked->host)) {
        if (asked->step == STEP_ADD && asked->if_name_is_free) {
            of->conflicts++;
            return YXDOMAIN;
        }
        if (asked->step == STEP_REMOVE_ADDRESS) {
            of->conflicts++;
            return NXRRSET;
        }
    }
    return NOERROR;
}

/* Write the reply to an update; it may be one that is never sent. */
static void answer(sink *of, const datagram *request, reply *to_be, uint64_t wall) {
    const uint8_t *octets = request->octets;
    uint8_t *message = to_be->message.octets;
    update asked;
    tsig_mac mac;
    bool readable = update_read(octets, request->size, of->plan, of->requests->first + of->requests->sent, &asked);
    bool verified = readable && (of->key == NULL ||
                                 (asked.tsig_at > 0 && tsig_verify(of->key, octets, request->size, asked.tsig_at,
                                                                   wall, &mac)));
    unsigned rcode = !readable ? FORMERR : !verified ? NOTAUTH : decide(of, &asked);
    of->updates++;
    of->malformed += !readable;
    of->unverified += readable && !verified;
    of->unknown += verified && (!asked.known || asked.step == STEP_NONE);
    to_be->host = asked.host;
    to_be->step = verified && asked.known && rcode != YXDOMAIN ? asked.step : STEP_NONE;
    /* The zone section is echoed, as BIND does. */
    size_t size = readable ? asked.zone_end : 12;
    memcpy(message, octets, size);
    message[2] |= QR;
    message[3] = (uint8_t)rcode;
    memset(message + 4, 0, 8);
    message[5] = readable;
    to_be->message.size = of->key != NULL && verified ? tsig_sign(of->key, message, size, &mac, wall) : size;
    to_be->message.to = request->to;
}

static bool receive(sink *of) {
    if (of->made - of->taken > WAITING_MAX - BATCH) {
        return false;
    }
    if (of->made == of->taken) {
        of->made = of->taken = 0; /* the same memory again: it is in the cache */
    }
    unsigned count = receive_batch(of->socket, of->arrived);
    uint64_t due = now_ns() + (uint64_t)(of->options->delay_ms * (double)NS_PER_MS);
    uint64_t wall = clock_ns(CLOCK_REALTIME) / NS_PER_S;
    for (unsigned i = 0; i < count; i++) {
        if (of->arrived[i].size < 12) {
            of->malformed++;
        } else if (is_lost(of)) {
            of->ignored++;
        } else {
            reply *to_be = &of->replies[of->made++ % WAITING_MAX];
            answer(of, &of->arrived[i], to_be, wall);
            to_be->due_ns = due;
        }
    }
    return count > 0;
}

static bool send_due(sink *of) {
    uint64_t now = of->options->delay_ms > 0 ? now_ns() : UINT64_MAX;
    datagram *batch[BATCH];
    unsigned count = 0;
    while (count < BATCH && of->taken + count != of->made) {
        reply *next = &of->replies[(of->taken + count) % WAITING_MAX];
        if (next->due_ns > now) {
            break;
        }
        batch[count++] = &next->message;
    }
    if (count == 0) {
        return false;
    }
    send_batch(of->socket, batch, count);
    now = now_ns();
    for (; count > 0; count--, of->taken++) {
        reply *done = &of->replies[of->taken % WAITING_MAX];
        if (done->step != STEP_NONE) {
            book_answered(of->requests, done->host, done->step, now);
        }
    }
    return true;
}

bool sink_work(sink *of) {
    bool received = receive(of);
    bool sent = send_due(of);
    return received || sent;
}

uint64_t sink_next(const sink *of) {
    return of->made == of->taken ? UINT64_MAX : of->replies[of->taken % WAITING_MAX].due_ns;
}
