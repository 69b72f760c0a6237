/* Replies to UPDATE messages, as servers usually give them (contract, section 6). */
#ifndef PYD2_WIRE_REPLY_H
#define PYD2_WIRE_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "contexts.h"
#include "tsig.h"

/*
 * Return the RCODE of a reply without records, or with a TSIG record and no other when `key` is the key that
 * signed the request; `request_mac` is the request's MAC, and `wall` is seconds since the epoch. Returns an enum
 * wire_error for all other replies, good and bad. Whether the query ID is the request's is for the caller to
 * check.
 */
int wire_reply_read(const uint8_t *reply, size_t size, wire_key *key, const uint8_t *request_mac,
                    size_t request_mac_size, uint64_t wall);

/*
 * The same for a request that a context has signed. A reply that is truncated is not usual, either: it is for the
 * caller to verify, and can be verified only once.
 */
int wire_reply_read_by_context(const uint8_t *reply, size_t size, wire_context *context, const uint8_t *request_mac,
                               size_t request_mac_size, uint64_t wall);

#endif
