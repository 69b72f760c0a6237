#include "update_batch.h"

#include "error.h"
#include "message.h"
#include "name_find.h"
#include "packed.h"

enum { POINTER_MAX = 0x3FFF, COUNTS_AT = 6 };

/* A message while it is written. */
typedef struct {
    wire_writer writer;
    const wire_name *zone;
    uint16_t owners[WIRE_UPDATES_MAX]; /* where each is spelled; 0: nowhere that a pointer reaches */
    struct {
        uint16_t at;
        uint8_t size;
    } rests[WIRE_RESTS_MAX]; /* what targets share but for their first label, as it is spelled in the message */
    size_t rests_count;
} batch;

/* One owner's changes. */
typedef struct {
    const wire_template *update;
    wire_packed head;
    const uint8_t *dhcid;
    const uint8_t *fqdn;
    bool forward;
    bool named; /* whether `owner` is set */
    wire_name owner;
} part;

/* Read the next request. Returns 0 or an enum wire_error. */
static int read_part(wire_reader *reader, part *into) {
    const uint8_t *head = wire_read_octets(reader, sizeof into->head);
    if (head == NULL) {
        return WIRE_UNUSUAL;
    }
    memcpy(&into->head, head, sizeof into->head);
    into->dhcid = wire_read_octets(reader, into->head.dhcid_size);
    into->fqdn = wire_read_octets(reader, into->head.fqdn_size);
    bool whole = into->dhcid != NULL && into->fqdn != NULL && into->head.fqdn_size > 0;
    into->named = false;
    return whole && (into->head.address_size == 4 || into->head.address_size == 16) ? 0 : WIRE_UNUSUAL;
}

/* Write a name; a pointer replaces the longest suffix that the zone's name has, except the root. */
static void put_below(wire_writer *writer, const wire_name *zone, const wire_name *name) {
    for (size_t at = 0; name->begins[at / 8] >> at % 8 & 1; at += 1U + name->wire[at]) {
        int found = wire_find_suffix(zone, name, at);
        if (found >= 0) {
            wire_put(writer, name->wire, at);
            wire_put_u16(writer, POINTER | (WIRE_HEADER_SIZE + (unsigned)found));
            return;
        }
    }
    wire_put(writer, name->wire, name->size);
}

/* Write the owner of a record. Returns 0 or an enum wire_error. */
static int put_owner(batch *message, part *changes, size_t number, bool begins) {
    wire_writer *writer = &message->writer;
    if (!begins && message->owners[number] != 0) {
        wire_put_u16(writer, POINTER | (unsigned)message->owners[number]);
        return 0;
    }
    if (!changes->named) {
        int error = changes->forward ? wire_name_set(&changes->owner, changes->fqdn, changes->head.fqdn_size)
                                     : wire_name_set_reverse(&changes->owner, changes->head.address,
                                                             changes->head.address_size);
        if (error != 0) {
            return error;
        }
        changes->named = true;
    }
    size_t at = wire_written(writer);
    put_below(writer, message->zone, &changes->owner);
    if (begins && at <= POINTER_MAX && wire_written(writer) - at > 2) {
        message->owners[number] = (uint16_t)at;
    }
    return 0;
}

/* Write what a PTR record points to, and its length. Returns 0 or an enum wire_error. */
static int put_target(batch *message, const uint8_t *target, size_t size) {
    wire_writer *writer = &message->writer;
    size_t label = 1U + target[0];
    if (label > size) {
        return WIRE_BAD_NAME;
    }
    const uint8_t *rest = target + label;
    size_t rest_size = size - label;
    for (size_t i = 0; i < message->rests_count; i++) {
        if (message->rests[i].size == rest_size &&
            memcmp(writer->begin + message->rests[i].at, rest, rest_size) == 0) {
            wire_put_u16(writer, (unsigned)label + 2);
            wire_put(writer, target, label);
            wire_put_u16(writer, POINTER | (unsigned)message->rests[i].at);
            return 0;
        }
    }
    wire_put_u16(writer, (unsigned)size);
    size_t at = wire_written(writer) + label;
    wire_put(writer, target, size);
    if (rest_size > 2 && at <= POINTER_MAX && message->rests_count < WIRE_RESTS_MAX && !writer->full) {
        message->rests[message->rests_count].at = (uint16_t)at;
        message->rests[message->rests_count++].size = (uint8_t)rest_size;
    }
    return 0;
}

/* Write the records of one owner that are in a section. Returns how many these are or an enum wire_error. */
static int put_records(batch *message, part *changes, size_t number, int section) {
    const wire_template *update = changes->update;
    wire_writer *writer = &message->writer;
    int first = section == 0 ? 0 : update->prerequisites;
    int count = section == 0 ? update->prerequisites : update->updates;
    for (int i = 0; i < count; i++) {
        const wire_record *record = &update->records[first + i];
        int error = put_owner(message, changes, number, first + i == 0);
        if (error != 0) {
            return error;
        }
        size_t address_size = changes->head.address_size;
        unsigned type = record->type != 0 ? record->type : address_size == 4 ? TYPE_A : TYPE_AAAA;
        wire_put_u16(writer, type);
        wire_put_u16(writer, record->rrclass);
        wire_put_u32(writer, record->with_ttl ? changes->head.lease_length : 0);
        switch (record->data) {
        case WIRE_DATA_ADDRESS:
            wire_put_u16(writer, (unsigned)address_size);
            wire_put(writer, changes->head.address, address_size);
            break;
        case WIRE_DATA_DHCID:
            wire_put_u16(writer, changes->head.dhcid_size);
            wire_put(writer, changes->dhcid, changes->head.dhcid_size);
            break;
        case WIRE_DATA_TARGET:
            error = put_target(message, changes->fqdn, changes->head.fqdn_size);
            if (error != 0) {
                return error;
            }
            break;
        default:
            wire_put_u16(writer, 0);
        }
    }
    return count;
}

int wire_batch_write(const wire_name *zone, const wire_template *const *templates, size_t count, const uint8_t *records,
                     size_t records_size, bool forward, uint8_t *buffer, size_t buffer_size) {
    if (count > WIRE_UPDATES_MAX) {
        return WIRE_UNUSUAL;
    }
    batch message = {.writer = wire_write_to(buffer, buffer_size), .zone = zone};
    static const uint8_t header[WIRE_HEADER_SIZE] = {0, 0, UPDATE_FLAGS >> 8, 0, 0, 1};
    wire_put(&message.writer, header, sizeof header);
    wire_put(&message.writer, zone->wire, zone->size);
    wire_put_u16(&message.writer, TYPE_SOA);
    wire_put_u16(&message.writer, CLASS_IN);
    unsigned counts[2] = {0, 0};
    part changes = {.forward = forward};
    for (int section = 0; section < 2; section++) {
        wire_reader reader = wire_read_from(records, records_size);
        for (size_t i = 0; i < count; i++) {
            int error = read_part(&reader, &changes);
            changes.update = templates[i];
            if (error == 0 && changes.update->prerequisites + changes.update->updates > WIRE_RECORDS_MAX) {
                error = WIRE_UNUSUAL;
            }
            if (error == 0) {
                error = put_records(&message, &changes, i, section);
            }
            if (error < 0) {
                return error;
            }
            counts[section] += (unsigned)error;
        }
    }
    if (message.writer.full) {
        return WIRE_NO_SPACE;
    }
    wire_writer header_counts = wire_write_to(buffer + COUNTS_AT, 4);
    wire_put_u16(&header_counts, counts[0]);
    wire_put_u16(&header_counts, counts[1]);
    return (int)wire_written(&message.writer);
}
