#include "contexts.h"

#include <stdlib.h>

#include "context_use.h"
#include "error.h"
#include "mic.h"

/* "gss-tsig." on the wire */
static const uint8_t ALGORITHM[] = {8, 'g', 's', 's', '-', 't', 's', 'i', 'g', 0};

enum { GSS_FAILURE = 13 << 16 };

struct wire_context {
    wire_gss gss;
    void *handle;
    wire_mic *mic; /* makes and checks MICs in libgssapi's place from the second one on; null: it does not */
    wire_identity identity;
    uint64_t expires;
    uint64_t next;      /* the number of the next MIC; GSS-API may count from another one */
    uint64_t oldest;    /* what bit 0 of `under_way` stands for */
    uint64_t under_way; /* bit n: the message with the number oldest + n; if there is any, bit 0 is set */
    uint32_t tries;
    bool bounded;
};

wire_context *wire_context_new(const wire_gss *functions, void *handle, const uint8_t *name, size_t name_size,
                               uint64_t expires, bool bounded) {
    wire_context *context = name_size <= WIRE_NAME_MAX ? calloc(1, sizeof *context) : NULL;
    if (context != NULL) {
        context->gss = *functions;
        context->handle = handle;
        context->mic = wire_mic_new(functions, handle, bounded);
        wire_identity_set(&context->identity, name, name_size, ALGORITHM, sizeof ALGORITHM);
        context->expires = expires;
        context->bounded = bounded;
    }
    return context;
}

void wire_context_free(wire_context *context) {
    if (context != NULL) {
        uint32_t minor;
        wire_mic_free(context->mic);
        context->gss.delete_sec_context(&minor, &context->handle, NULL);
        free(context);
    }
}

const wire_identity *wire_context_identity(const wire_context *context) {
    return &context->identity;
}

bool wire_context_busy(const wire_context *context) {
    return context->tries > 0;
}

void wire_context_begin_try(wire_context *context) {
    context->tries++;
}

void wire_context_end_try(wire_context *context, int64_t number) {
    context->tries--;
    wire_context_end(context, number);
}

uint32_t wire_context_span(const wire_context *context) {
    return context->under_way != 0 ? (uint32_t)(context->next - context->oldest) : 0;
}

/* Count the next number as under way. Returns it; -1 if it is too far from the oldest one, or if none is counted. */
static int64_t take_number(wire_context *context) {
    uint64_t number = context->next++;
    if (!context->bounded) {
        return -1;
    }
    if (context->under_way == 0) {
        context->oldest = number;
    }
    if (number - context->oldest > WIRE_SPAN_MAX) {
        return -1;
    }
    context->under_way |= UINT64_C(1) << (number - context->oldest);
    return (int64_t)number;
}

void wire_context_end(wire_context *context, int64_t number) {
    if (number < 0) {
        return;
    }
    uint64_t place = (uint64_t)number - context->oldest;
    if (context->under_way != 0 && place <= WIRE_SPAN_MAX) {
        context->under_way &= ~(UINT64_C(1) << place);
        if (context->under_way != 0) {
            int behind = __builtin_ctzll(context->under_way);
            context->under_way >>= behind;
            context->oldest += (uint64_t)behind;
        }
    }
}

/* Have libgssapi make a MIC. The first one says whether others can be made here. */
static int sign_by_gss(wire_context *context, const uint8_t *octets, size_t size, uint8_t *mac, size_t mac_size,
                       int64_t *number, wire_gss_status *status) {
    wire_gss_octets message = {size, (void *)(uintptr_t)octets};
    wire_gss_octets mic = {0, NULL};
    int written = WIRE_NO_DIGEST;
    status->major = context->gss.get_mic(&status->minor, context->handle, 0, &message, &mic);
    if (status->major == 0) {
        *number = take_number(context);
        written = mic.size <= mac_size ? (int)mic.size : WIRE_NO_SPACE;
        if (context->mic != NULL && !wire_mic_begin(context->mic, octets, size, mic.octets, mic.size)) {
            wire_mic_free(context->mic);
            context->mic = NULL;
        }
    }
    if (written >= 0) {
        memcpy(mac, mic.octets, mic.size);
    } else {
        wire_context_end(context, *number);
    }
    uint32_t minor;
    context->gss.release_buffer(&minor, &mic);
    return written;
}

int wire_context_sign(wire_context *context, const uint8_t *octets, size_t size, uint8_t *mac, size_t mac_size,
                      int64_t *number, wire_gss_status *status) {
    *status = (wire_gss_status){0, 0};
    *number = -1;
    if (context->mic == NULL || !wire_mic_begun(context->mic)) {
        return sign_by_gss(context, octets, size, mac, mac_size, number, status);
    }
    int written = wire_mic_sign(context->mic, octets, size, mac, mac_size);
    if (written >= 0) {
        *number = take_number(context);
    } else {
        status->major = GSS_FAILURE;
    }
    return written;
}

int wire_context_verify(wire_context *context, const uint8_t *octets, size_t size, const uint8_t *mac,
                        size_t mac_size, wire_gss_status *status) {
    *status = (wire_gss_status){WIRE_MIC_BAD, 0};
    if (context->mic != NULL && wire_mic_begun(context->mic)) {
        status->major = wire_mic_verify(context->mic, octets, size, mac, mac_size);
    }
    if (status->major == WIRE_MIC_BAD) {
        /* It knows what is wrong, if anything is: a MIC may also be of the key that the other side did not choose. */
        wire_gss_octets message = {size, (void *)(uintptr_t)octets};
        wire_gss_octets mic = {mac_size, (void *)(uintptr_t)mac};
        status->major = context->gss.verify_mic(&status->minor, context->handle, &message, &mic, NULL);
    }
    return status->major == 0 ? 0 : WIRE_UNVERIFIED;
}

/* Return the first context that is not full, or not even nearly if there is such a one; null: there is none. */
static wire_context *choose(wire_contexts *contexts, uint64_t wall) {
    wire_context *nearly_full = NULL;
    bool any = false;
    for (uint32_t i = 0; i < contexts->count; i++) {
        wire_context *context = contexts->contexts[i];
        if (wall >= context->expires) {
            continue;
        }
        uint32_t span = wire_context_span(context);
        if (span < WIRE_SPAN_NEARLY_FULL) {
            return context;
        }
        any = true;
        if (nearly_full == NULL && span <= WIRE_SPAN_MAX) {
            nearly_full = context;
        }
    }
    contexts->wants_another = contexts->wants_another || any;
    return nearly_full;
}

bool wire_contexts_full(wire_contexts *contexts, uint64_t wall) {
    bool wanted = contexts->wants_another;
    contexts->wants_another = false;
    bool full = choose(contexts, wall) == NULL && contexts->wants_another;
    contexts->wants_another = wanted || contexts->wants_another;
    return full;
}

int wire_contexts_sign(wire_contexts *contexts, const uint8_t *message, size_t size, uint16_t query_id,
                       uint64_t wall, uint8_t *buffer, size_t buffer_size, wire_context_signature *signature) {
    wire_context *context = choose(contexts, wall);
    if (context == NULL) {
        return WIRE_NO_DIGEST;
    }
    wire_writer writer = wire_write_to(buffer, buffer_size);
    int error = wire_begin_signed(&writer, message, size, query_id, wall);
    if (error != 0) {
        return error;
    }
    /* What is signed stands together, and then the record takes the place of its end. */
    uint64_t when = wall << 16 | WIRE_FUDGE;
    wire_put_variables(&writer, &context->identity, when, 0, 0);
    if (writer.full) {
        return WIRE_NO_SPACE;
    }
    wire_gss_status status;
    int mac_size = wire_context_sign(context, buffer, wire_written(&writer), signature->mac,
                                     sizeof signature->mac, &signature->number, &status);
    if (mac_size < 0) {
        return mac_size;
    }
    signature->mac_size = (size_t)mac_size;
    writer.at = buffer + size;
    wire_put_record(&writer, &context->identity, when, signature->mac, signature->mac_size, query_id);
    if (writer.full) {
        wire_context_end(context, signature->number);
        return WIRE_NO_SPACE;
    }
    signature->context = context;
    return (int)wire_written(&writer);
}
