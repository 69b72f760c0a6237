/* GSS-TSIG, the server's side: keys are agreed on by TKEY over UDP (RFC 3645). libgssapi is found at run time. */
#ifndef LOAD_GSS_H
#define LOAD_GSS_H

#include "tsig.h"

enum { GSS_CONTEXTS_MAX = 256 };

typedef struct gss_context gss_context;
typedef struct gss_side gss_side;

/* Return a server's side with the keys of the keytab that KRB5_KTNAME names; ends the program without libgssapi. */
gss_side *gss_side_new(void);

/* Return how many keys have been agreed on. */
unsigned gss_keys(const gss_side *side);

/* Whether a message is a query, which is for gss_agree() to answer. */
bool gss_is_query(const uint8_t *message, size_t size);

/* Answer a TKEY query in `reply`, which has `most` octets, by a signed token. Returns the size; 0: it is none. */
size_t gss_agree(gss_side *side, const uint8_t *query, size_t size, uint8_t *reply, size_t most, uint64_t wall);

/*
 * Check the TSIG record that begins at an offset of a request, as tsig_verify() does. Returns the context that has
 * signed the request, not long ago; null if none has.
 */
gss_context *gss_verify(gss_side *side, const uint8_t *message, size_t size, size_t at, uint64_t wall, tsig_mac *mac);

/* Append a TSIG record to a reply whose buffer is large enough; return the size of the reply with it. */
size_t gss_sign(gss_side *side, gss_context *context, uint8_t *reply, size_t size, const tsig_mac *request_mac,
                uint64_t wall);

#endif
