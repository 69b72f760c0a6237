#include "reply.h"

#include "error.h"
#include "name_find.h"
#include "verify.h"

enum { OPCODE_UPDATE = 5, TRUNCATED = 2 };

/* The numbers of a header. */
typedef struct {
    unsigned flags;
    unsigned zones;
    unsigned answers;
    unsigned authorities;
    unsigned additional;
} header_fields;

static header_fields read_header(const uint8_t *reply) {
    wire_reader reader = wire_read_from(reply + 2, WIRE_HEADER_SIZE - 2);
    header_fields found;
    found.flags = wire_get_u16(&reader);
    found.zones = wire_get_u16(&reader);
    found.answers = wire_get_u16(&reader);
    found.authorities = wire_get_u16(&reader);
    found.additional = wire_get_u16(&reader);
    return found;
}

static int read_reply(const uint8_t *reply, size_t size, const wire_signer *by, const uint8_t *request_mac,
                      size_t request_mac_size, uint64_t wall) {
    if (size < WIRE_HEADER_SIZE || size > WIRE_MESSAGE_MAX) {
        return WIRE_UNUSUAL;
    }
    header_fields header = read_header(reply);
    bool response = header.flags >> 15;
    unsigned opcode = header.flags >> 11 & 15;
    if (!response || opcode != OPCODE_UPDATE || header.zones > 1 || header.answers != 0 ||
        header.authorities != 0 || header.additional != (by->identity != NULL)) {
        return WIRE_UNUSUAL;
    }
    int at = WIRE_HEADER_SIZE;
    if (header.zones == 1) {
        uint8_t name[WIRE_NAME_MAX];
        size_t name_size;
        at = wire_read_name(reply, size, WIRE_HEADER_SIZE, name, &name_size);
        if (at < 0 || size - (size_t)at < 4) {
            return WIRE_UNUSUAL;
        }
        at += 4; /* its type and class, whatever they are */
    }
    if (by->identity != NULL) {
        int error = wire_verify(reply, size, (size_t)at, 0, by, request_mac, request_mac_size, wall);
        if (error != 0) {
            return error;
        }
    }
    return (int)(header.flags & 15);
}

int wire_reply_read(const uint8_t *reply, size_t size, wire_key *key, const uint8_t *request_mac,
                    size_t request_mac_size, uint64_t wall) {
    const wire_signer by = {.identity = key != NULL ? &key->identity : NULL, .key = key};
    return read_reply(reply, size, &by, request_mac, request_mac_size, wall);
}

int wire_reply_read_by_context(const uint8_t *reply, size_t size, wire_context *context, const uint8_t *request_mac,
                               size_t request_mac_size, uint64_t wall) {
    if (size < WIRE_HEADER_SIZE || reply[2] & TRUNCATED) {
        return WIRE_UNUSUAL;
    }
    const wire_signer by = {.identity = wire_context_identity(context), .context = context};
    return read_reply(reply, size, &by, request_mac, request_mac_size, wall);
}
