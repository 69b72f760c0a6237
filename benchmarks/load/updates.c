#include "updates.h"

#include "octets.h"
#include "tsig.h"

enum { HEADER_SIZE = 12, OPCODE_UPDATE = 5, TYPE_A = 1, TYPE_AAAA = 28, TYPE_ANY = 255 };
enum { CLASS_IN = 1, CLASS_NONE = 254, CLASS_ANY = 255 };

static const wire_name FORWARD = {"\5bench\7example", 15};
static const wire_name REVERSE4 = {"\00210\7in-addr\4arpa", 17};
static const wire_name REVERSE6 = {"\0018\1b\1d\0010\0011\0010\0010\0012\3ip6\4arpa", 26};

/* Note what an update of a forward zone does, record by record. */
static void note(update *found, bool is_prerequisite, unsigned type, unsigned rrclass) {
    bool is_address = type == TYPE_A || type == TYPE_AAAA;
    if (is_prerequisite) {
        found->if_name_is_free = found->if_name_is_free || (rrclass == CLASS_NONE && type == TYPE_ANY);
    } else if (is_address && rrclass == CLASS_IN) {
        found->step = STEP_ADD;
    } else if (is_address && rrclass == CLASS_NONE) {
        found->step = STEP_REMOVE_ADDRESS;
    } else if (found->step == STEP_NONE && rrclass == CLASS_ANY) {
        found->step = STEP_REMOVE_NAME;
    }
}

bool update_read(const uint8_t *message, size_t size, const host_plan *plan, uint32_t limit, update *found) {
    *found = (update){.step = STEP_NONE};
    if (size < HEADER_SIZE || message[2] >> 3 != OPCODE_UPDATE || get_u16(message + 4) != 1) {
        return false;
    }
    wire_name name;
    size_t at = name_read(message, size, HEADER_SIZE, &name);
    if (at == 0 || at + 4 > size) {
        return false;
    }
    bool forward = name_is_below(&name, &FORWARD);
    if (!forward && !name_is_below(&name, &REVERSE4) && !name_is_below(&name, &REVERSE6)) {
        return false;
    }
    at += 4;
    found->zone_end = at;
    unsigned prerequisites = get_u16(message + 6);
    unsigned updates = prerequisites + get_u16(message + 8);
    unsigned records = updates + get_u16(message + 10);
    for (unsigned i = 0; i < records; i++) {
        size_t begin = at;
        at = name_read(message, size, at, &name);
        if (at == 0 || at + 10 > size || at + 10 + get_u16(message + at + 8) > size) {
            return false;
        }
        unsigned type = get_u16(message + at);
        if (i == 0) {
            found->known = forward ? host_of_fqdn(&name, &found->host)
                                   : host_of_reverse(plan, &name, limit, &found->host);
        }
        if (i >= updates) {
            found->tsig_at = type == TSIG_TYPE ? begin : found->tsig_at;
        } else if (forward) {
            note(found, i < prerequisites, type, get_u16(message + at + 2));
        } else {
            found->step = STEP_REVERSE;
        }
        at += 10U + get_u16(message + at + 8);
    }
    return at == size;
}
