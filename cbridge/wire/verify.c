#include "verify.h"

#include "crypto.h"
#include "error.h"
#include "name_find.h"

enum { SIGNED_MAX = 1024 };

/* Move behind a name that must be `expected`, in any case. */
static bool skip_name(wire_reader *reader, const uint8_t *message, const uint8_t *expected, size_t size) {
    uint8_t lower[WIRE_NAME_MAX];
    size_t found = 0;
    int behind = wire_read_name(message, (size_t)(reader->end - message), (size_t)(reader->at - message), lower,
                                &found);
    if (behind < 0 || found != size || memcmp(lower, expected, size) != 0) {
        return false;
    }
    reader->at = message + behind;
    return true;
}

/* Check the MIC of the parts, one after the other. Returns 0 or an enum wire_error. */
static int verify_mic(wire_context *context, const wire_part *parts, size_t count, const uint8_t *mac,
                      size_t mac_size) {
    uint8_t octets[SIGNED_MAX];
    wire_writer writer = wire_write_to(octets, sizeof octets);
    for (size_t i = 0; i < count; i++) {
        wire_put(&writer, parts[i].octets, parts[i].size);
    }
    if (writer.full) {
        return WIRE_UNUSUAL;
    }
    wire_gss_status status;
    return wire_context_verify(context, octets, wire_written(&writer), mac, mac_size, &status);
}

/* Check the HMAC of the parts, which may be cut. Returns 0 or an enum wire_error. */
static int verify_hmac(wire_key *key, const wire_part *parts, size_t count, const uint8_t *mac, size_t mac_size) {
    uint8_t right[WIRE_MAC_MAX];
    if (mac_size < key->mac_size || mac_size > key->digest_size) {
        return WIRE_UNVERIFIED;
    }
    int failed = wire_hmac(key, parts, count, right);
    if (failed != 0) {
        return failed;
    }
    return wire_crypto.compare(right, mac, mac_size) == 0 ? 0 : WIRE_UNVERIFIED;
}

int wire_verify(const uint8_t *reply, size_t size, size_t at, unsigned others, const wire_signer *by,
                const uint8_t *request_mac, size_t request_mac_size, uint64_t wall) {
    if (wall >> 48 != 0 || request_mac_size > WIRE_MAC_MAX) {
        return WIRE_UNUSUAL;
    }
    const wire_identity *identity = by->identity;
    wire_reader reader = wire_read_from(reply, size);
    reader.at += at;
    if (!skip_name(&reader, reply, identity->name, identity->name_size)) {
        return WIRE_UNVERIFIED;
    }
    unsigned type = wire_get_u16(&reader);
    unsigned rrclass = wire_get_u16(&reader);
    uint64_t ttl = wire_get_uint(&reader, 4);
    size_t length = wire_get_u16(&reader);
    if (type != WIRE_TYPE_TSIG || rrclass != WIRE_CLASS_ANY || ttl != 0 || length != wire_left(&reader) ||
        !skip_name(&reader, reply, identity->algorithm, identity->algorithm_size)) {
        return WIRE_UNVERIFIED;
    }
    uint64_t when = wire_get_uint(&reader, 8);
    size_t mac_size = wire_get_u16(&reader);
    const uint8_t *mac = wire_read_octets(&reader, mac_size);
    const uint8_t *original_id = wire_read_octets(&reader, 2);
    unsigned error = wire_get_u16(&reader);
    size_t other_size = wire_get_u16(&reader);
    const uint8_t *other = wire_read_octets(&reader, other_size);
    uint64_t signed_at = when >> 16;
    bool in_time = signed_at <= wall + WIRE_FUDGE && wall <= signed_at + WIRE_FUDGE;
    if (reader.missing || wire_left(&reader) != 0 || !in_time || mac_size == 0) {
        return WIRE_UNVERIFIED;
    }
    uint8_t head[2];
    wire_writer begin = wire_write_to(head, sizeof head);
    wire_put_u16(&begin, (unsigned)request_mac_size);
    const uint8_t additional[2] = {(uint8_t)(others >> 8), (uint8_t)others}; /* records without the TSIG record */
    uint8_t variables[WIRE_VARIABLES_MAX];
    wire_writer writer = wire_write_to(variables, sizeof variables);
    wire_put_variables(&writer, identity, when, error, (unsigned)other_size);
    wire_part parts[] = {
        {head, sizeof head},
        {request_mac, request_mac_size},
        {original_id, 2},
        {reply + 2, 8},
        {additional, sizeof additional},
        {reply + WIRE_HEADER_SIZE, at - WIRE_HEADER_SIZE},
        {variables, wire_written(&writer)},
        {other, other_size},
    };
    size_t count = sizeof parts / sizeof parts[0];
    return by->context != NULL ? verify_mic(by->context, parts, count, mac, mac_size)
                               : verify_hmac(by->key, parts, count, mac, mac_size);
}
