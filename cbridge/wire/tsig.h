/* TSIG with shared secrets: signing UPDATE messages, and the MACs of their replies (RFC 8945). */
#ifndef PYD2_WIRE_TSIG_H
#define PYD2_WIRE_TSIG_H

#include <stddef.h>
#include <stdint.h>

enum { WIRE_MAC_MAX = 64 };

/* A shared secret: the two states of its HMAC behind the key block, and what does not change in its records. */
typedef struct wire_key wire_key;

/*
 * Prepare a key. `name` and `algorithm` are names on the wire in lower case; `digest` is libcrypto's name of
 * the hash function; MACs are cut to `mac_size` octets. Returns null if there is no libcrypto, if it does not do
 * this digest, if the sizes make no sense (a MAC has at least 10 octets and half of the digest's: RFC 8945, section
 * 5.2.2.1), or without memory.
 */
wire_key *wire_key_new(const uint8_t *name, size_t name_size, const uint8_t *algorithm, size_t algorithm_size,
                       const char *digest, const uint8_t *secret, size_t secret_size, size_t mac_size);

/* Let the signatures of a key be valid for so many seconds; 300 in a new one. */
void wire_key_set_fudge(wire_key *key, uint16_t seconds);

/* Wipe and free a key; null is none. */
void wire_key_free(wire_key *key);

/*
 * Write a message with its query ID and its TSIG record; `wall` is seconds since the epoch. Returns the size of
 * what was written or an enum wire_error.
 */
int wire_sign(wire_key *key, const uint8_t *message, size_t size, uint16_t query_id, uint64_t wall,
              uint8_t *buffer, size_t buffer_size);

#endif
