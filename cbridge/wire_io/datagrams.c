#define _GNU_SOURCE /* recvmmsg, sendmmsg */

#include "datagrams.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "outgoing.h"

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

int wire_lane_send(wire_lane *lane, int socket) {
    uint32_t sizes[WIRE_BATCH_MAX];
    uint32_t count = 0;
    const wire_outgoing *first = lane->messages + lane->first;
    while (count < WIRE_BATCH_MAX && lane->first + count < lane->count && first[count].slot == first->slot) {
        sizes[count] = first[count].size;
        count++;
    }
    if (count == 0) {
        return 0;
    }
    int sent = wire_send(socket, lane->octets + first->at, lane->used - first->at, sizes, count);
    if (sent > 0) {
        wire_lane_sent(lane, (uint32_t)sent);
    }
    return sent;
}
