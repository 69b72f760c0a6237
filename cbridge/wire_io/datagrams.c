#define _GNU_SOURCE /* recvmmsg, sendmmsg */

#include "datagrams.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "order.h"
#include "outgoing.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103 /* linux/udp.h, since Linux 4.18 */
#endif

enum {
    SEGMENTS_MAX = 64,           /* of one message to the kernel: Linux before 6.9 takes no more */
    SEGMENTED_OCTETS_MAX = 65000 /* the same; a datagram over IPv4 has at most 65,507 */
};

/* The control message with the size of the segments. */
typedef struct {
    _Alignas(struct cmsghdr) uint8_t octets[CMSG_SPACE(sizeof(uint16_t))];
} segment_size;

/* Point each message's header at its part of a batch. */
static void set_header(struct mmsghdr *header, struct iovec *part, void *octets, size_t size) {
    part->iov_base = octets;
    part->iov_len = size;
    header->msg_hdr.msg_iov = part;
    header->msg_hdr.msg_iovlen = 1;
}

int wire_receive(int socket, uint8_t *buffer, size_t buffer_size, size_t size, uint32_t sizes[WIRE_BATCH_MAX],
                 size_t count) {
    struct mmsghdr headers[WIRE_BATCH_MAX];
    struct iovec parts[WIRE_BATCH_MAX];
    count = count < WIRE_BATCH_MAX ? count : WIRE_BATCH_MAX;
    if (size == 0 || count > buffer_size / size) {
        return -EINVAL;
    }
    memset(headers, 0, count * sizeof headers[0]);
    for (size_t i = 0; i < count; i++) {
        set_header(&headers[i], &parts[i], buffer + i * size, size);
    }
    int received;
    do {
        received = recvmmsg(socket, headers, (unsigned)count, MSG_DONTWAIT, NULL);
    } while (received < 0 && errno == EINTR);
    for (int i = 0; i < received; i++) {
        sizes[i] = headers[i].msg_len;
    }
    return received >= 0 ? received : -errno;
}

int wire_send(int socket, const uint8_t *octets, size_t octets_size, const uint32_t *sizes, size_t count) {
    struct mmsghdr headers[WIRE_BATCH_MAX];
    struct iovec parts[WIRE_BATCH_MAX];
    count = count < WIRE_BATCH_MAX ? count : WIRE_BATCH_MAX;
    memset(headers, 0, count * sizeof headers[0]);
    for (size_t i = 0; i < count; i++) {
        if (sizes[i] > octets_size) {
            return -EINVAL;
        }
        set_header(&headers[i], &parts[i], (void *)octets, sizes[i]); /* sending does not write there */
        octets += sizes[i];
        octets_size -= sizes[i];
    }
    int sent;
    do {
        sent = sendmmsg(socket, headers, (unsigned)count, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0 ? sent : -errno;
}

/* Return how many of the messages, which stand in the order in which they go out, may go to the kernel as one. */
static uint32_t run_length(const wire_outgoing *messages, uint32_t count) {
    uint32_t length = 1;
    size_t octets = messages->size;
    while (length < count && length < SEGMENTS_MAX && messages[length - 1].size == messages->size &&
           messages[length].size <= messages->size && (octets += messages[length].size) <= SEGMENTED_OCTETS_MAX) {
        length++; /* the last one may be shorter */
    }
    return length;
}

/* Have a message to the kernel cut into segments of this size. */
static void set_segments(struct msghdr *header, segment_size *control, uint16_t size) {
    memset(control, 0, sizeof *control);
    header->msg_control = control;
    header->msg_controllen = sizeof control->octets;
    struct cmsghdr *entry = CMSG_FIRSTHDR(header);
    entry->cmsg_level = SOL_UDP;
    entry->cmsg_type = UDP_SEGMENT;
    entry->cmsg_len = CMSG_LEN(sizeof size);
    memcpy(CMSG_DATA(entry), &size, sizeof size);
}

/* Whether the kernel knows segments: an old one would send them all as one long datagram. */
static bool knows_segments(int socket) {
    int size;
    socklen_t length = sizeof size;
    return getsockopt(socket, SOL_UDP, UDP_SEGMENT, &size, &length) == 0;
}

/* Whether an error may mean that the kernel or a network device does not want segments. */
static bool is_refusal(int error) {
    return error == EIO || error == EINVAL || error == EMSGSIZE || error == ENOPROTOOPT || error == EOPNOTSUPP;
}

/* Send the first messages of an outbox, at most WIRE_BATCH_MAX. Returns their number, or an errno, negated. */
static int send_some(wire_lane *lane, int socket, uint32_t count) {
    struct mmsghdr headers[WIRE_BATCH_MAX];
    struct iovec parts[WIRE_BATCH_MAX];
    segment_size controls[WIRE_BATCH_MAX];
    int ends[WIRE_BATCH_MAX]; /* how many messages there are up to the end of each run */
    bool segmented = lane->segmentation == WIRE_SEGMENTATION_ON;
    if (segmented) {
        wire_lane_order(lane, count);
    }
    const wire_outgoing *messages = lane->messages + lane->first;
    unsigned runs = 0;
    for (uint32_t at = 0; at < count; runs++) {
        uint32_t length = segmented ? run_length(messages + at, count - at) : 1;
        struct msghdr *header = &headers[runs].msg_hdr;
        *header = (struct msghdr){.msg_iov = parts + at, .msg_iovlen = length};
        if (length > 1) {
            set_segments(header, &controls[runs], (uint16_t)messages[at].size);
        }
        for (uint32_t end = at + length; at < end; at++) {
            parts[at] = (struct iovec){lane->octets + messages[at].at, messages[at].size};
        }
        ends[runs] = (int)at;
    }
    int sent;
    int refusals = 0;
    do {
        sent = sendmmsg(socket, headers, runs, MSG_DONTWAIT | MSG_NOSIGNAL);
        /* Once more: it may be the error of an earlier message, which ICMP has reported. */
        refusals += sent < 0 && ends[0] > 1 && is_refusal(errno);
    } while (sent < 0 && (errno == EINTR || (is_refusal(errno) && refusals == 1)));
    if (refusals == 2 && sent < 0) {
        lane->segmentation = WIRE_SEGMENTATION_OFF;
        lane->refused = errno;
    }
    return sent > 0 ? ends[sent - 1] : -errno;
}

/* Return how many of the first messages, at most WIRE_BATCH_MAX, go out from this slot. */
static uint32_t count_of_slot(const wire_lane *lane, uint32_t slot) {
    uint32_t end = lane->first;
    while (end < lane->count && end - lane->first < WIRE_BATCH_MAX && lane->messages[end].slot == slot) {
        end++;
    }
    return end - lane->first;
}

int wire_lane_send(wire_lane *lane, int socket) {
    if (lane->segmentation == WIRE_SEGMENTATION_UNTRIED) {
        lane->segmentation = knows_segments(socket) ? WIRE_SEGMENTATION_ON : WIRE_SEGMENTATION_OFF;
    }
    uint32_t slot = lane->first < lane->count ? lane->messages[lane->first].slot : 0;
    int sent = 0;
    for (uint32_t count; (count = count_of_slot(lane, slot)) > 0;) {
        bool segmented = lane->segmentation == WIRE_SEGMENTATION_ON;
        int some = send_some(lane, socket, count);
        if (some < 0 && segmented && lane->segmentation == WIRE_SEGMENTATION_OFF) {
            continue; /* refused: once more, without segments */
        }
        if (some < 0) {
            return sent > 0 ? sent : some;
        }
        wire_lane_sent(lane, (uint32_t)some);
        sent += some;
        if ((uint32_t)some < count) {
            break;
        }
    }
    return sent;
}
