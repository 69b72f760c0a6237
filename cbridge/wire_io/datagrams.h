/* Datagrams by the batch: one system call for many. All system calls of the native back end are here. */
#ifndef PYD2_WIRE_IO_DATAGRAMS_H
#define PYD2_WIRE_IO_DATAGRAMS_H

#include <stddef.h>
#include <stdint.h>

#include "batch.h"
#include "outbox.h"

/*
 * Read what has arrived at a socket, without waiting: at most `count` datagrams. Each gets `size` octets of the
 * buffer, one behind the other; what is longer is cut. `sizes` gets the length of each. Returns their number, at
 * most WIRE_BATCH_MAX, or an errno, negated. An error behind a datagram is kept by the kernel for the next call.
 */
int wire_receive(int socket, uint8_t *buffer, size_t buffer_size, size_t size, uint32_t sizes[WIRE_BATCH_MAX],
                 size_t count);

/*
 * Send messages from a connected socket, without waiting; their octets follow each other, `sizes` has how many
 * each has. Returns how many were sent, at most WIRE_BATCH_MAX, or the errno of the first, negated. An error
 * behind the first is lost here: the next call meets it again, unless it was that of an earlier message.
 */
int wire_send(int socket, const uint8_t *octets, size_t octets_size, const uint32_t *sizes, size_t count);

/*
 * Send the first messages of a lane's outbox that have one slot, from that slot's connected socket. Returns their
 * number, or the errno of the first, negated; what is sent has left the outbox. Messages of one size go to the
 * kernel as one, which it cuts into segments (UDP_SEGMENT). For that they may change their order, but not two of
 * one owner. When the kernel refuses segments, they go out one by one, and `refused` of the lane has the reason.
 */
int wire_lane_send(wire_lane *lane, int socket);

#endif
