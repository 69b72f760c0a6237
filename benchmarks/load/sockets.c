#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "fail.h"

enum { BUFFER_SIZE = 64 << 20 };

static peer make_peer(const char *address, uint16_t port) {
    peer result;
    memset(&result, 0, sizeof result);
    if (inet_pton(AF_INET, address, &result.ipv4.sin_addr) == 1) {
        result.ipv4.sin_family = AF_INET;
        result.ipv4.sin_port = htons(port);
    } else if (inet_pton(AF_INET6, address, &result.ipv6.sin6_addr) == 1) {
        result.ipv6.sin6_family = AF_INET6;
        result.ipv6.sin6_port = htons(port);
    } else {
        FAIL("not an address: %s", address);
    }
    return result;
}

static socklen_t peer_size(const peer *of) {
    return of->any.sa_family == AF_INET ? sizeof of->ipv4 : sizeof of->ipv6;
}

/* Ask for a buffer: beyond the system's limit if that is permitted, else as much as there is. */
static void set_buffer(int socket, int forced, int plain) {
    int size = BUFFER_SIZE;
    if (setsockopt(socket, SOL_SOCKET, forced, &size, sizeof size) != 0) {
        setsockopt(socket, SOL_SOCKET, plain, &size, sizeof size);
    }
}

static int make_socket(const peer *of) {
    int result = socket(of->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (result < 0) {
        FAIL("no socket: %s", strerror(errno));
    }
    set_buffer(result, SO_RCVBUFFORCE, SO_RCVBUF);
    set_buffer(result, SO_SNDBUFFORCE, SO_SNDBUF);
    return result;
}

int socket_bound(const char *address, uint16_t port) {
    peer self = make_peer(address, port);
    int result = make_socket(&self);
    if (bind(result, &self.any, peer_size(&self)) != 0) {
        FAIL("cannot bind %s port %u: %s", address, port, strerror(errno));
    }
    return result;
}

int socket_connected(const char *address, uint16_t port) {
    peer other = make_peer(address, port);
    int result = make_socket(&other);
    if (connect(result, &other.any, peer_size(&other)) != 0) {
        FAIL("cannot connect to %s port %u: %s", address, port, strerror(errno));
    }
    return result;
}

unsigned receive_batch(int socket, datagram *batch) {
    struct mmsghdr headers[BATCH];
    struct iovec parts[BATCH];
    memset(headers, 0, sizeof headers);
    for (unsigned i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){batch[i].octets, DATAGRAM_MAX};
        headers[i].msg_hdr.msg_iov = &parts[i];
        headers[i].msg_hdr.msg_iovlen = 1;
        headers[i].msg_hdr.msg_name = &batch[i].to;
        headers[i].msg_hdr.msg_namelen = sizeof batch[i].to;
    }
    int count = recvmmsg(socket, headers, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++) {
        batch[i].size = headers[i].msg_len;
    }
    return count > 0 ? (unsigned)count : 0;
}

void send_batch(int socket, datagram *const *batch, unsigned count) {
    struct mmsghdr headers[BATCH];
    struct iovec parts[BATCH];
    memset(headers, 0, count * sizeof *headers);
    for (unsigned i = 0; i < count; i++) {
        parts[i] = (struct iovec){batch[i]->octets, batch[i]->size};
        headers[i].msg_hdr.msg_iov = &parts[i];
        headers[i].msg_hdr.msg_iovlen = 1;
        if (batch[i]->to.any.sa_family != 0) {
            headers[i].msg_hdr.msg_name = &batch[i]->to;
            headers[i].msg_hdr.msg_namelen = peer_size(&batch[i]->to);
        }
    }
    for (unsigned sent = 0; sent < count;) {
        int more = sendmmsg(socket, headers + sent, count - sent, 0);
        if (more > 0) {
            sent += (unsigned)more;
        } else if (errno != EINTR && errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED) {
            FAIL("cannot send: %s", strerror(errno));
        }
    }
}
