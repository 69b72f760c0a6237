/* UDP sockets on a loopback address, and datagrams by the batch. */
#ifndef LOAD_SOCKETS_H
#define LOAD_SOCKETS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

enum { BATCH = 128, DATAGRAM_MAX = 1232 };

typedef union {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
} peer;

typedef struct {
    uint8_t octets[DATAGRAM_MAX];
    size_t size;
    peer to; /* or from */
} datagram;

/* Return a socket bound to a port, with large buffers; ends the program if it cannot be. */
int socket_bound(const char *address, uint16_t port);

/* Return a socket connected to a port. */
int socket_connected(const char *address, uint16_t port);

/* Receive what has arrived, at most BATCH datagrams; returns their number. */
unsigned receive_batch(int socket, datagram *batch);

/* Send datagrams, at most BATCH; to the peer that each names, or, from a connected socket, all to its own. */
void send_batch(int socket, datagram *const *batch, unsigned count);

#endif
