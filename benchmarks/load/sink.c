#include "sink.h"

#include <poll.h>
#include <time.h>

#include "clock.h"
#include "fail.h"
#include "octets.h"

enum { KEY_SECONDS = 30, POLL_MS = 20, SETTLE_MS = 300 };
enum { WAITING_MAX = 1 << 15, NOERROR = 0, FORMERR = 1, YXDOMAIN = 6, NXRRSET = 8, NOTAUTH = 9, QR = 0x80 };

sink sink_new(const load_options *options, const host_plan *plan, book *requests) {
    return (sink){
        .options = options,
        .plan = plan,
        .requests = requests,
        .key = options->key != NULL ? tsig_key_new(options->key) : NULL,
        .gss = options->gss ? gss_side_new() : NULL,
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
    gss_context *context = NULL;
    bool readable = update_read(octets, request->size, of->plan, of->requests->first + of->requests->sent, &asked);
    bool verified = readable && of->key == NULL && of->gss == NULL;
    if (readable && asked.tsig_at > 0 && of->gss != NULL) {
        context = gss_verify(of->gss, octets, request->size, asked.tsig_at, wall, &mac);
        verified = context != NULL;
    } else if (readable && asked.tsig_at > 0 && of->key != NULL) {
        verified = tsig_verify(of->key, octets, request->size, asked.tsig_at, wall, &mac);
    }
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
    if (context != NULL) {
        size = gss_sign(of->gss, context, message, size, &mac, wall);
    } else if (of->key != NULL && verified) {
        size = tsig_sign(of->key, message, size, &mac, wall);
    }
    to_be->message.size = size;
    to_be->message.to = request->to;
}

/* Answer a query for a key; false: it is none, or cannot be answered. */
static bool agree(sink *of, const datagram *query, reply *to_be, uint64_t wall) {
    if (of->gss == NULL || !gss_is_query(query->octets, query->size)) {
        return false;
    }
    to_be->message.size = gss_agree(of->gss, query->octets, query->size, to_be->message.octets, DATAGRAM_MAX, wall);
    to_be->message.to = query->to;
    to_be->step = STEP_NONE;
    return to_be->message.size > 0;
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
            continue;
        }
        reply *to_be = &of->replies[of->made % WAITING_MAX];
        if (!agree(of, &of->arrived[i], to_be, wall)) {
            if (is_lost(of)) {
                of->ignored++;
                continue;
            }
            answer(of, &of->arrived[i], to_be, wall);
        }
        to_be->due_ns = due;
        of->made++;
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

void sink_await_keys(sink *of, unsigned count) {
    uint64_t end = now_ns() + KEY_SECONDS * NS_PER_S;
    /* An answer that is delayed leaves before any request comes: else there is no key for the first ones. */
    while (gss_keys(of->gss) < count || of->made != of->taken) {
        struct pollfd event = {.fd = of->socket, .events = POLLIN};
        if (now_ns() > end) {
            FAIL("the D2 has not agreed on a key");
        }
        poll(&event, 1, POLL_MS);
        sink_work(of);
    }
    /* The D2 has to read the last answer before it can use that key. */
    nanosleep(&(struct timespec){0, SETTLE_MS * (long)NS_PER_MS}, NULL);
}

bool sink_work(sink *of) {
    bool received = receive(of);
    bool sent = send_due(of);
    return received || sent;
}

uint64_t sink_next(const sink *of) {
    return of->made == of->taken ? UINT64_MAX : of->replies[of->taken % WAITING_MAX].due_ns;
}
