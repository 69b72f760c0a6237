/* Security contexts of GSS-API, which sign messages in the place of a shared secret (RFC 2743, RFC 3645). */
#ifndef PYD2_WIRE_CONTEXTS_H
#define PYD2_WIRE_CONTEXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WIRE_CONTEXTS_MAX = 32, /* contexts that sign for a server at a time */
    WIRE_SPAN_MAX = 63,     /* a MIC that comes behind more than these is refused */
    WIRE_SPAN_NEARLY_FULL = 48
};

/* Octets as GSS-API takes and returns them (RFC 2744, section 3.2). */
typedef struct {
    size_t size;
    void *octets;
} wire_gss_octets;

/* Several of them: gss_buffer_set_desc of MIT's. */
typedef struct {
    size_t count;
    wire_gss_octets *members;
} wire_gss_octets_set;

/* The name of a kind of object (RFC 2744, section 3.3). */
typedef struct {
    uint32_t size;
    void *octets;
} wire_gss_oid;

/* What a function of GSS-API has returned, and the status of the mechanism. 0: it has succeeded. */
typedef struct {
    uint32_t major;
    uint32_t minor;
} wire_gss_status;

typedef uint32_t wire_gss_get_mic(uint32_t *minor, void *context, uint32_t quality, wire_gss_octets *message,
                                  wire_gss_octets *mic);
typedef uint32_t wire_gss_verify_mic(uint32_t *minor, void *context, wire_gss_octets *message, wire_gss_octets *mic,
                                     uint32_t *quality);
typedef uint32_t wire_gss_release_buffer(uint32_t *minor, wire_gss_octets *octets);
typedef uint32_t wire_gss_delete_sec_context(uint32_t *minor, void **context, wire_gss_octets *token);
typedef uint32_t wire_gss_inquire(uint32_t *minor, const void *context, wire_gss_oid *object,
                                  wire_gss_octets_set **found);
typedef uint32_t wire_gss_release_set(uint32_t *minor, wire_gss_octets_set **set);

/* Functions of libgssapi, which the caller has found at run time. Types are those of RFC 2744, section 5, and MIT's. */
typedef struct {
    wire_gss_get_mic *get_mic;
    wire_gss_verify_mic *verify_mic;
    wire_gss_release_buffer *release_buffer;
    wire_gss_delete_sec_context *delete_sec_context;
    wire_gss_inquire *inquire_sec_context_by_oid; /* null: libgssapi is to make all MICs itself */
    wire_gss_release_set *release_buffer_set;
} wire_gss;

/*
 * A context with the name of its key, and the numbers of its MICs whose messages are under way: the next number minus
 * the oldest of these is its span. One thread at a time may use it.
 */
typedef struct wire_context wire_context;

/*
 * Return a context that is established; null without memory or for a name that is too long. `handle` is GSS-API's, and
 * belongs to the context from now on; `name` is the key's on the wire in lower case. It signs until `expires`, seconds
 * since the epoch. Its span is `bounded` if the other side refuses copies.
 */
wire_context *wire_context_new(const wire_gss *functions, void *handle, const uint8_t *name, size_t name_size,
                               uint64_t expires, bool bounded);

/* Delete a context, which must not be busy; null is none. */
void wire_context_free(wire_context *context);

/* Return whether tries under way have been signed with it. */
bool wire_context_busy(const wire_context *context);

/* Return its span, and 0 if that is not bounded. */
uint32_t wire_context_span(const wire_context *context);

/*
 * Make the MIC of octets, at most `mac_size` long; returns its size, or an enum wire_error with the status of the
 * call. `number` is for wire_context_end(), when the message is no longer under way.
 */
int wire_context_sign(wire_context *context, const uint8_t *octets, size_t size, uint8_t *mac, size_t mac_size,
                      int64_t *number, wire_gss_status *status);
void wire_context_end(wire_context *context, int64_t number);

/* Check the MIC of octets that the other side has made. Returns 0, or an enum wire_error with the status. */
int wire_context_verify(wire_context *context, const uint8_t *octets, size_t size, const uint8_t *mac,
                        size_t mac_size, wire_gss_status *status);

/* The contexts that sign for a server, the preferred one first. Whoever sets them keeps those that are busy. */
typedef struct {
    uint32_t count;
    bool wants_another; /* all were nearly full when one was chosen; the caller sets it back */
    wire_context *contexts[WIRE_CONTEXTS_MAX];
} wire_contexts;

/* Return whether there are contexts, and all of them are full; `wall` is seconds since the epoch. */
bool wire_contexts_full(wire_contexts *contexts, uint64_t wall);

#endif
