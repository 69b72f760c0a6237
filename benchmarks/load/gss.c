#include "gss.h"

#include <dlfcn.h>

#include "fail.h"
#include "octets.h"

enum {
    HEADER_SIZE = 12,
    FUDGE = 300,
    CLASS_ANY = 255,
    TKEY_TYPE = 249,
    GSS_API_MODE = 3,
    OPCODE_MASK = 0x78,
    SIGNED_MAX = 4096
};

typedef struct {
    size_t size;
    void *octets;
} gss_octets;

typedef uint32_t accept_function(uint32_t *minor, void **context, void *credential, gss_octets *token, void *bindings,
                                 void **name, void **mechanism, gss_octets *answer, uint32_t *flags,
                                 uint32_t *seconds, void **delegated);
typedef uint32_t get_mic_function(uint32_t *minor, void *context, uint32_t quality, gss_octets *message,
                                  gss_octets *mic);
typedef uint32_t verify_mic_function(uint32_t *minor, void *context, gss_octets *message, gss_octets *mic,
                                     uint32_t *quality);
typedef uint32_t release_function(uint32_t *minor, gss_octets *octets);

struct gss_context {
    wire_name name;
    void *handle;
};

struct gss_side {
    accept_function *accept;
    get_mic_function *get_mic;
    verify_mic_function *verify_mic;
    release_function *release;
    wire_name algorithm;
    gss_context contexts[GSS_CONTEXTS_MAX];
    unsigned count;
    uint8_t octets[SIGNED_MAX]; /* what a MIC is made of */
};

/* Find a function; `place` is that of a pointer to it. */
static void find(void *library, const char *name, void *place) {
    void *function = dlsym(library, name);
    if (function == NULL) {
        FAIL("libgssapi has no %s", name);
    }
    memcpy(place, &function, sizeof function);
}

gss_side *gss_side_new(void) {
    void *library = dlopen("libgssapi_krb5.so.2", RTLD_NOW);
    if (library == NULL) {
        FAIL("no GSS-API: %s", dlerror());
    }
    gss_side *side = get_memory(1, sizeof *side);
    find(library, "gss_accept_sec_context", &side->accept);
    find(library, "gss_get_mic", &side->get_mic);
    find(library, "gss_verify_mic", &side->verify_mic);
    find(library, "gss_release_buffer", &side->release);
    side->algorithm = name_from_text("gss-tsig.");
    return side;
}

unsigned gss_keys(const gss_side *side) {
    return side->count;
}

bool gss_is_query(const uint8_t *message, size_t size) {
    return size > HEADER_SIZE && (message[2] & OPCODE_MASK) == 0;
}

/* Return the context of a key, the newest first: the usual one. */
static gss_context *find_context(gss_side *side, const wire_name *name) {
    for (unsigned i = side->count; i-- > 0;) {
        if (name_equals(&side->contexts[i].name, name)) {
            return &side->contexts[i];
        }
    }
    return NULL;
}

/* Write the variables that are signed with a message (RFC 8945, section 4.3.3), without other data. */
static uint8_t *put_variables(const gss_side *side, const gss_context *context, uint8_t *at, const uint8_t when[8],
                              unsigned error) {
    at = put_octets(at, context->name.wire, context->name.size);
    put_u16(at, CLASS_ANY);
    put_u32(at + 2, 0);
    at = put_octets(at + 6, side->algorithm.wire, side->algorithm.size);
    at = put_octets(at, when, 8);
    put_u16(at, (uint16_t)error);
    put_u16(at + 2, 0);
    return at + 4;
}

gss_context *gss_verify(gss_side *side, const uint8_t *message, size_t size, size_t at, uint64_t wall, tsig_mac *mac) {
    wire_name name;
    wire_name algorithm;
    size_t behind = name_read(message, size, at, &name);
    gss_context *context = behind > 0 ? find_context(side, &name) : NULL;
    size_t when = context != NULL && behind + 10 < size ? name_read(message, size, behind + 10, &algorithm) : 0;
    if (when == 0 || when + 16 > size || !name_equals(&algorithm, &side->algorithm)) {
        return NULL;
    }
    size_t mac_size = get_u16(message + when + 8);
    if (mac_size > TSIG_MAC_MAX || when + 10 + mac_size + 6 != size || size > SIGNED_MAX / 2) {
        return NULL;
    }
    const uint8_t *theirs = message + when + 10;
    const uint8_t *rest = theirs + mac_size; /* original ID, error, size of other data */
    uint8_t *octets = side->octets;
    put_octets(octets, message, at);
    put_octets(octets, rest, 2);
    put_u16(octets + 10, (uint16_t)(get_u16(octets + 10) - 1));
    uint8_t *end = put_variables(side, context, octets + at, message + when, get_u16(rest + 2));
    mac->size = mac_size;
    put_octets(mac->octets, theirs, mac_size);
    uint64_t signed_at = (uint64_t)get_u16(message + when) << 32 | get_u32(message + when + 2);
    bool timely = signed_at + FUDGE >= wall && signed_at <= wall + FUDGE;
    gss_octets signed_octets = {(size_t)(end - octets), octets};
    gss_octets mic = {mac_size, mac->octets};
    uint32_t minor;
    bool right = timely && get_u16(rest + 4) == 0 &&
                 side->verify_mic(&minor, context->handle, &signed_octets, &mic, NULL) == 0;
    return right ? context : NULL;
}

size_t gss_sign(gss_side *side, gss_context *context, uint8_t *reply, size_t size, const tsig_mac *request_mac,
                uint64_t wall) {
    uint8_t when[8];
    put_u16(when, (uint16_t)(wall >> 32));
    put_u32(when + 2, (uint32_t)wall);
    put_u16(when + 6, FUDGE);
    uint8_t *end = side->octets;
    if (request_mac != NULL) {
        put_u16(end, (uint16_t)request_mac->size);
        end = put_octets(end + 2, request_mac->octets, request_mac->size);
    }
    end = put_octets(end, reply, size);
    end = put_variables(side, context, end, when, 0);
    gss_octets signed_octets = {(size_t)(end - side->octets), side->octets};
    gss_octets mic = {0, NULL};
    uint32_t minor;
    if (side->get_mic(&minor, context->handle, 0, &signed_octets, &mic) != 0) {
        FAIL("a context does not sign");
    }
    uint8_t *at = put_octets(reply + size, context->name.wire, context->name.size);
    put_u16(at, TSIG_TYPE);
    put_u16(at + 2, CLASS_ANY);
    put_u32(at + 4, 0);
    put_u16(at + 8, (uint16_t)(side->algorithm.size + 10 + mic.size + 6));
    at = put_octets(at + 10, side->algorithm.wire, side->algorithm.size);
    at = put_octets(at, when, sizeof when);
    put_u16(at, (uint16_t)mic.size);
    at = put_octets(at + 2, mic.octets, mic.size);
    at = put_octets(at, reply, 2); /* the original ID */
    put_u32(at, 0);                /* no error, no other data */
    put_u16(reply + 10, (uint16_t)(get_u16(reply + 10) + 1));
    side->release(&minor, &mic);
    return (size_t)(at + 4 - reply);
}

/* Read the TKEY record of a query. Returns the place of its data behind the algorithm; 0: there is none. */
static size_t find_tkey(const uint8_t *query, size_t size, wire_name *name, size_t *question_end) {
    wire_name algorithm;
    size_t at = name_read(query, size, HEADER_SIZE, name);
    if (at == 0 || at + 4 > size) {
        return 0;
    }
    *question_end = at + 4;
    at = name_read(query, size, at + 4, name);
    if (at == 0 || at + 10 > size || get_u16(query + at) != TKEY_TYPE) {
        return 0;
    }
    at = name_read(query, size, at + 10, &algorithm);
    bool fits = at > 0 && at + 14 <= size && get_u16(query + at + 8) == GSS_API_MODE &&
                at + 14 + get_u16(query + at + 12) <= size;
    return fits ? at : 0;
}

size_t gss_agree(gss_side *side, const uint8_t *query, size_t size, uint8_t *reply, size_t most, uint64_t wall) {
    wire_name name;
    size_t question_end = 0;
    size_t data = find_tkey(query, size, &name, &question_end);
    if (data == 0 || side->count == GSS_CONTEXTS_MAX) {
        return 0;
    }
    gss_context *context = &side->contexts[side->count];
    *context = (gss_context){.name = name};
    gss_octets token = {get_u16(query + data + 12), (void *)(uintptr_t)(query + data + 14)};
    gss_octets answer = {0, NULL};
    uint32_t minor;
    uint32_t major = side->accept(&minor, &context->handle, NULL, &token, NULL, NULL, NULL, &answer, NULL, NULL, NULL);
    size_t needed = question_end + 2 + 10 + side->algorithm.size + 14 + answer.size + 2 + TSIG_RECORD_MAX;
    if (major != 0 || needed > most) {
        FAIL("no context with the D2: %08x %u, an answer of %zu octets", major, minor, answer.size);
    }
    uint8_t *at = put_octets(reply, query, question_end);
    reply[2] = 0x80; /* a response */
    reply[3] = 0;
    put_u16(reply + 6, 1);
    put_u16(reply + 8, 0);
    put_u16(reply + 10, 0);
    put_u16(at, 0xC000 | HEADER_SIZE);
    put_u16(at + 2, TKEY_TYPE);
    put_u16(at + 4, CLASS_ANY);
    put_u32(at + 6, 0);
    put_u16(at + 10, (uint16_t)(side->algorithm.size + 14 + answer.size + 2));
    at = put_octets(at + 12, side->algorithm.wire, side->algorithm.size);
    at = put_octets(at, query + data, 8); /* inception, expiration */
    put_u16(at, GSS_API_MODE);
    put_u16(at + 2, 0); /* no error */
    put_u16(at + 4, (uint16_t)answer.size);
    at = put_octets(at + 6, answer.octets, answer.size);
    put_u16(at, 0); /* no other data */
    side->release(&minor, &answer);
    side->count++;
    return gss_sign(side, context, reply, (size_t)(at + 2 - reply), NULL, wall);
}
