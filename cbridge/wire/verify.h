/* Verification of signed replies. Not for Python. */
#ifndef PYD2_WIRE_VERIFY_H
#define PYD2_WIRE_VERIFY_H

#include "context_use.h"
#include "tsig_key.h"

/* What has signed a request: a shared secret or a security context. */
typedef struct {
    const wire_identity *identity; /* null: it is unsigned */
    wire_key *key;
    wire_context *context;
} wire_signer;

/*
 * Check the TSIG record that a reply ends with, from `at` on, behind `others` of its additional section; `request_mac`
 * is the request's (RFC 8945, section 5.3). Returns 0 or an enum wire_error.
 */
int wire_verify(const uint8_t *reply, size_t size, size_t at, unsigned others, const wire_signer *by,
                const uint8_t *request_mac, size_t request_mac_size, uint64_t wall);

#endif
