/* Messages that contexts sign. Not for Python. */
#ifndef PYD2_WIRE_CONTEXT_USE_H
#define PYD2_WIRE_CONTEXT_USE_H

#include "contexts.h"
#include "tsig_key.h"

/* A message's signature. */
typedef struct {
    wire_context *context;
    int64_t number;
    size_t mac_size;
    uint8_t mac[WIRE_MAC_MAX];
} wire_context_signature;

/* Note that a try has been signed with a context, and that it has ended. */
void wire_context_begin_try(wire_context *context);
void wire_context_end_try(wire_context *context, int64_t number);

/* Return the name of its key, and its algorithm. */
const wire_identity *wire_context_identity(const wire_context *context);

/*
 * Write a message with its query ID and its TSIG record, as wire_sign() does, by a context that is not full; leave how
 * it is signed. Returns the size of what was written or an enum wire_error, then there is no signature.
 */
int wire_contexts_sign(wire_contexts *contexts, const uint8_t *message, size_t size, uint16_t query_id,
                       uint64_t wall, uint8_t *buffer, size_t buffer_size, wire_context_signature *signature);

#endif
