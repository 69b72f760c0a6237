/*
 * MIC tokens of Kerberos 5 by libcrypto (RFC 4121, section 4.2.6.1), for the encryption types of AES: octet for octet
 * those that libgssapi makes, which takes several times as long. Not for Python.
 */
#ifndef PYD2_WIRE_MIC_H
#define PYD2_WIRE_MIC_H

#include "contexts.h"

enum {
    WIRE_MIC_DUPLICATE = 2, /* GSS_S_DUPLICATE_TOKEN (RFC 2744, section 3.9.1) */
    WIRE_MIC_OLD = 4,       /* GSS_S_OLD_TOKEN */
    WIRE_MIC_BAD = 6 << 16  /* GSS_S_BAD_SIG */
};

/* The initiator's side of an established context. */
typedef struct wire_mic wire_mic;

/*
 * Prepare the session key of a context that is established. Returns null if that is for libgssapi alone: if it does not
 * give the key, if its encryption type is another one, without libcrypto or without memory. It `refuses_copies` if the
 * context was to do so; such a context may not demand that tokens arrive in order.
 */
wire_mic *wire_mic_new(const wire_gss *functions, const void *handle, bool refuses_copies);

/* Wipe and free it; null is none. */
void wire_mic_free(wire_mic *mic);

/*
 * Compare a token that libgssapi has made with what would be made here, and continue behind its sequence number.
 * Returns whether they are equal; if not, libgssapi must make them all.
 */
bool wire_mic_begin(wire_mic *mic, const uint8_t *octets, size_t size, const uint8_t *token, size_t token_size);

/* Return whether it has begun: only then may it sign and verify. */
bool wire_mic_begun(const wire_mic *mic);

/* Make the next token of octets. Returns its size or an enum wire_error, then the next one has the same number. */
int wire_mic_sign(wire_mic *mic, const uint8_t *octets, size_t size, uint8_t *token, size_t token_size);

/* Check a token of the acceptor. Returns what gss_verify_mic() does: 0 or one of the above. */
uint32_t wire_mic_verify(wire_mic *mic, const uint8_t *octets, size_t size, const uint8_t *token, size_t token_size);

#endif
