#include "update.h"

#include "error.h"
#include "message.h"
#include "name_find.h"

/* What is known of a message while it is written. */
typedef struct {
    const wire_name *zone;
    wire_name owner;
    size_t owner_at; /* offset of the first record's owner in the message */
    bool owner_is_short; /* whether it is no longer than a pointer to it */
} message_layout;

static void put_pointer(wire_writer *writer, size_t to) {
    wire_put_u16(writer, POINTER | (unsigned)to);
}

static bool begins_label(const wire_name *name, size_t at) {
    return name->begins[at / 8] >> at % 8 & 1;
}

/*
 * Write a name. A pointer replaces its longest suffix that the message already contains, except the root.
 * `owner` says whether the message already contains the owner's labels, too.
 */
static void put_name(wire_writer *writer, const message_layout *layout, const wire_name *name, bool owner) {
    for (size_t at = 0; begins_label(name, at); at += 1U + name->wire[at]) {
        int found = wire_find_suffix(layout->zone, name, at);
        size_t base = WIRE_HEADER_SIZE;
        if (found < 0 && owner) {
            /* If the owner's end is a pointer to the zone's name, that suffix would have been found there. */
            found = wire_find_suffix(&layout->owner, name, at);
            base = layout->owner_at;
        }
        if (found >= 0) {
            wire_put(writer, name->wire, at);
            put_pointer(writer, base + (size_t)found);
            return;
        }
    }
    wire_put(writer, name->wire, name->size);
}

static void put_header(wire_writer *writer, const wire_template *update, const wire_name *zone) {
    wire_put_u16(writer, 0);
    wire_put_u16(writer, UPDATE_FLAGS);
    wire_put_u16(writer, 1);
    wire_put_u16(writer, update->prerequisites);
    wire_put_u16(writer, update->updates);
    wire_put_u16(writer, 0);
    wire_put(writer, zone->wire, zone->size);
    wire_put_u16(writer, TYPE_SOA);
    wire_put_u16(writer, CLASS_IN);
}

/* Write a record's owner: the first is written out, the others point to it where that is shorter. */
static void put_owner(wire_writer *writer, message_layout *layout, bool first) {
    if (first) {
        layout->owner_at = wire_written(writer);
        put_name(writer, layout, &layout->owner, false);
        layout->owner_is_short = wire_written(writer) - layout->owner_at <= 2;
    } else if (layout->owner_is_short) {
        put_name(writer, layout, &layout->owner, false);
    } else {
        put_pointer(writer, layout->owner_at);
    }
}

/* Write the target's length and the target. Returns 0 or an enum wire_error. */
static int put_target(wire_writer *writer, const message_layout *layout, const uint8_t *target, size_t size) {
    wire_name name;
    int error = wire_name_set(&name, target, size);
    if (error != 0) {
        return error;
    }
    uint8_t *length_at = writer->at;
    wire_put_u16(writer, 0);
    put_name(writer, layout, &name, true);
    if (!writer->full) {
        size_t written = (size_t)(writer->at - length_at) - 2;
        length_at[0] = (uint8_t)(written >> 8);
        length_at[1] = (uint8_t)written;
    }
    return 0;
}

int wire_update_write(const wire_template *update, const wire_name *zone, const uint8_t *owner,
                      size_t owner_size, const uint8_t *target, size_t target_size, const uint8_t *address,
                      size_t address_size, const uint8_t *dhcid, size_t dhcid_size, uint32_t ttl,
                      uint8_t *buffer, size_t buffer_size) {
    int count = update->prerequisites + update->updates;
    if (count > WIRE_RECORDS_MAX || dhcid_size > UINT16_MAX || (address_size != 4 && address_size != 16)) {
        return WIRE_UNUSUAL;
    }
    wire_writer writer = wire_write_to(buffer, buffer_size);
    message_layout layout = {.zone = zone};
    int error = owner_size > 0 ? wire_name_set(&layout.owner, owner, owner_size)
                               : wire_name_set_reverse(&layout.owner, address, address_size);
    if (error != 0) {
        return error;
    }
    put_header(&writer, update, zone);
    for (int i = 0; i < count; i++) {
        const wire_record *record = &update->records[i];
        put_owner(&writer, &layout, i == 0);
        unsigned type = record->type != 0 ? record->type : address_size == 4 ? TYPE_A : TYPE_AAAA;
        wire_put_u16(&writer, type);
        wire_put_u16(&writer, record->rrclass);
        wire_put_u32(&writer, record->with_ttl ? ttl : 0);
        switch (record->data) {
        case WIRE_DATA_ADDRESS:
            wire_put_u16(&writer, (unsigned)address_size);
            wire_put(&writer, address, address_size);
            break;
        case WIRE_DATA_DHCID:
            wire_put_u16(&writer, (unsigned)dhcid_size);
            wire_put(&writer, dhcid, dhcid_size);
            break;
        case WIRE_DATA_TARGET:
            error = put_target(&writer, &layout, target, target_size);
            if (error != 0) {
                return error;
            }
            break;
        default:
            wire_put_u16(&writer, 0);
        }
    }
    return writer.full ? WIRE_NO_SPACE : (int)wire_written(&writer);
}
