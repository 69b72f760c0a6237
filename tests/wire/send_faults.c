#define _GNU_SOURCE /* sendmmsg */
/*
 * Sends messages from an outbox through a kernel that refuses, fails and sends in part, as the seed in the argument
 * says. Each message must go out once and whole, those of one owner in order, and the outbox must know what is left.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <sys/socket.h>

static int scripted_sendmmsg(int socket, struct mmsghdr *headers, unsigned count, int flags);
static int scripted_getsockopt(int socket, int level, int name, void *value, socklen_t *size);

#define sendmmsg scripted_sendmmsg
#define getsockopt scripted_getsockopt
#include "../../cbridge/wire_io/datagrams.c"

#include "harness.h"

enum { MESSAGES = 4000, OWNERS = 60, LARGEST = 1400, SEGMENTS = 64, DATAGRAM = 65507 };

static uint64_t state;
static uint32_t added, arrived, segmented, refused;
static uint32_t sizes[MESSAGES], owners[MESSAGES], slots[MESSAGES];
static bool here[MESSAGES];
static int32_t last_of[OWNERS];
static bool knows;              /* whether the kernel has segments */
static uint32_t refuses_from;   /* it refuses them after so many runs; UINT32_MAX: never */
static int refusal;             /* with this error */
static uint32_t usual, kinds;   /* octets that most messages have, or a few more; how many sizes these are */

static uint32_t draw(uint32_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

/* A message has its number, and its size decides the rest. */
static void arrive(const uint8_t *octets, size_t size) {
    uint32_t number;
    CHECK(size >= sizeof number);
    memcpy(&number, octets, sizeof number);
    CHECK(number < added && !here[number] && sizes[number] == size);
    for (size_t i = sizeof number; i < size; i++) {
        CHECK(octets[i] == (uint8_t)(number + i));
    }
    CHECK(last_of[owners[number]] < (int32_t)number);
    last_of[owners[number]] = (int32_t)number;
    here[number] = true;
    arrived++;
}

/* Take one message of sendmmsg's. Returns an errno. */
static int take(const struct msghdr *header) {
    static const int errors[] = {EAGAIN, ENOBUFS, ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, EOPNOTSUPP, EPERM};
    static uint8_t datagram[DATAGRAM];
    size_t size = 0;
    uint16_t segment = 0;
    if (draw(12) == 0) {
        return errors[draw(sizeof errors / sizeof errors[0])];
    }
    for (size_t i = 0; i < header->msg_iovlen; i++) {
        CHECK(size + header->msg_iov[i].iov_len <= sizeof datagram);
        memcpy(datagram + size, header->msg_iov[i].iov_base, header->msg_iov[i].iov_len);
        size += header->msg_iov[i].iov_len;
    }
    if (header->msg_controllen > 0) {
        const struct cmsghdr *entry = CMSG_FIRSTHDR(header);
        CHECK(entry != NULL && entry->cmsg_level == SOL_UDP && entry->cmsg_type == UDP_SEGMENT);
        CHECK(entry->cmsg_len == CMSG_LEN(sizeof segment));
        memcpy(&segment, CMSG_DATA(entry), sizeof segment);
        CHECK(knows && segment > 0 && size > segment && size <= (size_t)segment * SEGMENTS);
        if (segmented >= refuses_from) {
            refused++;
            return refusal;
        }
        segmented++;
    } else {
        CHECK(header->msg_iovlen == 1);
        segment = (uint16_t)size;
    }
    for (size_t at = 0; at < size; at += segment) {
        arrive(datagram + at, size - at < segment ? size - at : segment);
    }
    return 0;
}

static int scripted_sendmmsg(int socket, struct mmsghdr *headers, unsigned count, int flags) {
    CHECK(socket == 7 && count > 0 && count <= WIRE_BATCH_MAX && flags == (MSG_DONTWAIT | MSG_NOSIGNAL));
    errno = draw(50) == 0 ? EINTR : 0;
    unsigned sent = 0;
    while (errno == 0 && sent < count && (errno = take(&headers[sent].msg_hdr)) == 0) {
        sent++;
    }
    return sent > 0 ? (int)sent : -1;
}

static int scripted_getsockopt(int socket, int level, int name, void *value, socklen_t *size) {
    CHECK(socket == 7 && level == SOL_UDP && name == UDP_SEGMENT && *size == sizeof(int) && value != NULL);
    errno = ENOPROTOOPT;
    return knows ? 0 : -1;
}

static void add(wire_lane *lane, uint32_t slot) {
    uint32_t number = added++;
    /* Few sizes, as they are, and now and then any. */
    uint32_t size = draw(kinds > 1 ? 4 : 400) ? usual + 3 * draw(kinds) : 4 + draw(LARGEST - 3);
    uint8_t *octets = wire_lane_reserve(lane, LARGEST);
    CHECK(octets != NULL);
    memcpy(octets, &number, sizeof number);
    for (size_t i = sizeof number; i < size; i++) {
        octets[i] = (uint8_t)(number + i);
    }
    sizes[number] = size;
    owners[number] = draw(OWNERS);
    slots[number] = slot;
    wire_lane_add(lane, slot, number, size, 2 * owners[number] + 1);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    state = strtoull(arguments[1], NULL, 10);
    static const int refusals[] = {EIO, EINVAL, EMSGSIZE, ENOPROTOOPT, EOPNOTSUPP};
    refusal = refusals[state % (sizeof refusals / sizeof refusals[0])];
    knows = draw(4) > 0;
    refuses_from = draw(2) ? UINT32_MAX : draw(2) * draw(20);
    usual = draw(3) ? 100 : 1200; /* 64 of the longer ones would be more than a datagram can have */
    kinds = draw(3) ? 4 : 1;
    for (int i = 0; i < OWNERS; i++) {
        last_of[i] = -1;
    }
    wire_lane *lane = wire_lane_new(96);
    CHECK(lane != NULL);
    uint32_t slot = 0, reports = 0;
    while (arrived < MESSAGES) {
        slot = draw(6) ? slot : draw(3);
        for (uint32_t more = draw(300); added < MESSAGES && more > 0; more--) {
            add(lane, slot);
        }
        uint32_t before = arrived;
        uint32_t first_slot = lane->first < lane->count ? lane->messages[lane->first].slot : 0;
        int sent = wire_lane_send(lane, 7);
        CHECK(sent >= 0 ? (uint32_t)sent == arrived - before : arrived == before);
        CHECK(lane->count - lane->first == added - arrived);
        for (uint32_t i = lane->first; i < lane->count; i++) {
            CHECK(!here[lane->messages[i].query_id] && slots[lane->messages[i].query_id] == lane->messages[i].slot);
        }
        CHECK(sent >= 0 || lane->messages[lane->first].slot == first_slot);
        if (lane->refused) { /* EMSGSIZE and EOPNOTSUPP twice in a row are taken for a refusal, too */
            CHECK(knows && lane->segmentation == WIRE_SEGMENTATION_OFF);
            lane->refused = 0;
            reports++;
        }
        /* Nothing waits for ever behind what came later. */
        for (uint32_t number = 0; number + WIRE_BATCH_MAX < arrived; number++) {
            CHECK(here[number]);
        }
    }
    CHECK((segmented > 0) == (knows && refuses_from > 0));
    CHECK(reports <= 1 && (reports == 1 || !knows || refuses_from == UINT32_MAX));
    CHECK(refused <= 8); /* two are enough to believe it, if no other error comes between */
    wire_lane_free(lane);
    puts("ok");
    return 0;
}
