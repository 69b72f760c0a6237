/* TSIG, the server's side: requests are verified, replies are signed (RFC 8945). */
#ifndef LOAD_TSIG_H
#define LOAD_TSIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "names.h"

enum { TSIG_TYPE = 250, TSIG_MAC_MAX = 64, TSIG_RECORD_MAX = 2 * NAME_MAX_SIZE + 26 + TSIG_MAC_MAX };

typedef struct tsig_key tsig_key;

/* Return the key that `ALGORITHM:NAME:BASE64` means; ends the program when it means none. */
tsig_key *tsig_key_new(const char *text);

/* The MAC of a request, which its reply's MAC covers. */
typedef struct {
    uint8_t octets[TSIG_MAC_MAX];
    size_t size;
} tsig_mac;

/*
 * Check the TSIG record that begins at an offset of a request, the last record of it, and get its MAC.
 * `wall` is seconds since the epoch. Returns whether the request was signed with the key, not long ago.
 */
bool tsig_verify(tsig_key *key, const uint8_t *message, size_t size, size_t at, uint64_t wall, tsig_mac *mac);

/* Append a TSIG record to a reply whose buffer is large enough; return the size of the reply with it. */
size_t tsig_sign(tsig_key *key, uint8_t *reply, size_t size, const tsig_mac *request_mac, uint64_t wall);

#endif
