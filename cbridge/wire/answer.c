#include "answer.h"

#include <stdbool.h>

#include "error.h"
#include "message.h"
#include "name_find.h"
#include "tries.h"
#include "verify.h"

enum {
    RESPONSE = 0x8000,
    USUAL = 0xFA00, /* the bits of a header's flags that say whether it is a whole answer: all of QR, opcode, TC */
    RCODE = 15,
    NXDOMAIN = 3,
    SOA_NUMBERS = 20 /* octets of the data of a SOA record behind its names */
};

int wire_question_write(const uint8_t *name, size_t name_size, uint8_t *buffer, size_t buffer_size) {
    static const uint8_t header[WIRE_HEADER_SIZE] = {0, 0, 0, 0, 0, 1};
    wire_writer writer = wire_write_to(buffer, buffer_size);
    wire_put(&writer, header, sizeof header);
    wire_put(&writer, name, name_size);
    wire_put_u16(&writer, TYPE_DHCID);
    wire_put_u16(&writer, CLASS_IN);
    return writer.full ? WIRE_NO_SPACE : (int)wire_written(&writer);
}

/* Move behind a name that must be spelled out as `expected`, in any case. */
static bool skip_spelled(wire_reader *reader, const uint8_t *expected, size_t size) {
    const uint8_t *name = wire_read_octets(reader, size);
    for (size_t i = 0; name != NULL && i < size; i++) {
        if (wire_to_lower(name[i]) != wire_to_lower(expected[i])) {
            return false;
        }
    }
    return name != NULL;
}

/* Move behind a name, whatever it is. */
static bool skip_name(wire_reader *reader, const uint8_t *message) {
    uint8_t lower[WIRE_NAME_MAX];
    size_t size;
    int behind = wire_read_name(message, (size_t)(reader->end - message), (size_t)(reader->at - message), lower, &size);
    if (behind < 0) {
        return false;
    }
    reader->at = message + behind;
    return true;
}

/* Move behind a record of a type that servers add to answers. Returns whether it is one, and its data is in order. */
static bool skip_record(wire_reader *reader, const uint8_t *message) {
    if (!skip_name(reader, message)) {
        return false;
    }
    unsigned type = wire_get_u16(reader);
    unsigned rrclass = wire_get_u16(reader);
    wire_get_uint(reader, 4); /* its TTL */
    size_t length = wire_get_u16(reader);
    if (reader->missing || rrclass != CLASS_IN || length > wire_left(reader)) {
        return false;
    }
    size_t left = wire_left(reader) - length;
    bool right;
    switch (type) {
    case TYPE_A:
        right = wire_read_octets(reader, 4) != NULL;
        break;
    case TYPE_AAAA:
        right = wire_read_octets(reader, 16) != NULL;
        break;
    case TYPE_NS:
        right = skip_name(reader, message);
        break;
    case TYPE_SOA:
        right = skip_name(reader, message) && skip_name(reader, message) &&
                wire_read_octets(reader, SOA_NUMBERS) != NULL;
        break;
    default:
        return false;
    }
    return right && wire_left(reader) == left;
}

/* Move behind the DHCID record of the name that was asked for. Returns what it says. */
static int read_dhcid(wire_reader *reader, const uint8_t *dhcid, size_t dhcid_size) {
    static const uint8_t begin[] = {POINTER >> 8, WIRE_HEADER_SIZE, 0, TYPE_DHCID, 0, CLASS_IN};
    const uint8_t *record = wire_read_octets(reader, sizeof begin);
    wire_get_uint(reader, 4); /* its TTL */
    size_t size = wire_get_u16(reader);
    const uint8_t *data = wire_read_octets(reader, size);
    if (record == NULL || memcmp(record, begin, sizeof begin) != 0 || data == NULL || size == 0) {
        return WIRE_TRY_JUDGE;
    }
    return size == dhcid_size && memcmp(data, dhcid, size) == 0 ? WIRE_TRY_OURS : WIRE_TRY_OTHERWISE;
}

static int read_answer(const uint8_t *answer, size_t size, const wire_signer *by, const uint8_t *question_mac,
                       size_t question_mac_size, uint64_t wall, const uint8_t *name, size_t name_size,
                       const uint8_t *dhcid, size_t dhcid_size) {
    if (size < WIRE_HEADER_SIZE || size > WIRE_MESSAGE_MAX) {
        return WIRE_TRY_JUDGE;
    }
    wire_reader reader = wire_read_from(answer, size);
    reader.at += 2; /* behind the query ID */
    unsigned flags = wire_get_u16(&reader);
    unsigned questions = wire_get_u16(&reader);
    unsigned answers = wire_get_u16(&reader);
    unsigned authorities = wire_get_u16(&reader);
    unsigned additional = wire_get_u16(&reader);
    if ((flags & USUAL) != RESPONSE || questions != 1 || !skip_spelled(&reader, name, name_size) ||
        wire_get_u16(&reader) != TYPE_DHCID || wire_get_u16(&reader) != CLASS_IN) {
        return WIRE_TRY_JUDGE;
    }
    int found = WIRE_TRY_JUDGE;
    if (answers == 0) {
        found = (flags & RCODE) == 0 ? WIRE_TRY_WITHOUT : (flags & RCODE) == NXDOMAIN ? WIRE_TRY_FREE : WIRE_TRY_JUDGE;
    } else if (answers == 1 && (flags & RCODE) == 0) {
        found = read_dhcid(&reader, dhcid, dhcid_size);
    }
    if (by->identity == NULL || found == WIRE_TRY_JUDGE) {
        return found; /* without a signature the other records do not matter */
    }
    for (unsigned others = authorities + additional; others > 1; others--) {
        if (!skip_record(&reader, answer)) {
            return WIRE_TRY_JUDGE;
        }
    }
    size_t at = (size_t)(reader.at - answer);
    bool verified = additional > 0 && wire_verify(answer, size, at, additional - 1, by, question_mac,
                                                  question_mac_size, wall) == 0;
    return verified ? found : WIRE_TRY_JUDGE;
}

int wire_answer_read(const uint8_t *answer, size_t size, wire_key *key, const uint8_t *question_mac,
                     size_t question_mac_size, uint64_t wall, const uint8_t *name, size_t name_size,
                     const uint8_t *dhcid, size_t dhcid_size) {
    const wire_signer by = {.identity = key != NULL ? &key->identity : NULL, .key = key};
    return read_answer(answer, size, &by, question_mac, question_mac_size, wall, name, name_size, dhcid, dhcid_size);
}

int wire_answer_read_by_context(const uint8_t *answer, size_t size, wire_context *context,
                                const uint8_t *question_mac, size_t question_mac_size, uint64_t wall,
                                const uint8_t *name, size_t name_size, const uint8_t *dhcid, size_t dhcid_size) {
    const wire_signer by = {.identity = wire_context_identity(context), .context = context};
    return read_answer(answer, size, &by, question_mac, question_mac_size, wall, name, name_size, dhcid, dhcid_size);
}
