/* Requests in a row, each behind its length in two octets: so they are in a batch of the shared queue. */
#ifndef PYD2_WIRE_JOINED_H
#define PYD2_WIRE_JOINED_H

#include <stddef.h>
#include <stdint.h>

/* Return how many octets datagrams take in a row. */
size_t wire_joined_size(const uint32_t *sizes, size_t count);

/*
 * Put datagrams of a batch, of 65,535 octets each at most, in a row, for which there is space. For `stride` see
 * wire_next_datagram. Returns how many octets that takes.
 */
size_t wire_joined_write(const uint8_t *datagrams, size_t stride, const uint32_t *sizes, size_t count, uint8_t *octets);

/* Return how many datagrams are in a row, or WIRE_UNUSUAL if it ends in the middle of one. */
int32_t wire_joined_count(const uint8_t *octets, size_t size);

/* Leave the first `count` datagrams of a row, one directly behind the other, and their sizes. There are as many. */
void wire_joined_read(const uint8_t *octets, size_t count, uint8_t *datagrams, uint32_t *sizes);

/*
 * Leave for the first `count` datagrams of a row, of which there are as many, the last eight octets of their DHCIDs,
 * the most significant one first: a DHCID ends with a digest. 0: it has none of eight octets or more, or stands there
 * in another form than the DHCP servers write.
 */
void wire_joined_clients(const uint8_t *octets, size_t count, uint64_t *clients);

#endif
