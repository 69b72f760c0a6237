/* Keys from inside. Not for Python. */
#ifndef PYD2_WIRE_TSIG_KEY_H
#define PYD2_WIRE_TSIG_KEY_H

#include "crypto.h"
#include "name.h"
#include "octets.h"
#include "tsig.h"

enum {
    WIRE_FUDGE = 300,
    WIRE_MAC_MIN = 10,
    WIRE_TYPE_TSIG = 250,
    WIRE_CLASS_ANY = 255,
    WIRE_VARIABLES_MAX = 2 * WIRE_NAME_MAX + 18
};

struct wire_key {
    EVP_MD_CTX *inner; /* behind the key block, never changed */
    EVP_MD_CTX *outer; /* the same */
    EVP_MD_CTX *work;  /* a copy of one of them, at work */
    size_t digest_size;
    size_t mac_size;
    size_t name_size;
    size_t algorithm_size;
    uint16_t fudge; /* seconds for which its signatures are valid */
    uint8_t name[WIRE_NAME_MAX];
    uint8_t algorithm[WIRE_NAME_MAX];
};

/* Octets that an HMAC is made of. */
typedef struct {
    const uint8_t *octets;
    size_t size;
} wire_part;

/* Leave the whole HMAC over the parts, one after the other, in `mac`. Returns 0 or an enum wire_error. */
int wire_hmac(wire_key *key, const wire_part *parts, size_t count, uint8_t mac[WIRE_MAC_MAX]);

/*
 * Write the variables that are signed with a message (RFC 8945, section 4.3.3), but for other data.
 * `when` is the time signed, 48 bits, and the fudge.
 */
void wire_put_variables(wire_writer *writer, const wire_key *key, uint64_t when, unsigned error,
                        unsigned other_size);

#endif
