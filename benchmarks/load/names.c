#include "names.h"

#include <string.h>

#include "fail.h"

static uint8_t lower(uint8_t octet) {
    return octet >= 'A' && octet <= 'Z' ? octet | 0x20 : octet;
}

wire_name name_from_text(const char *text) {
    wire_name name = {.size = 0};
    while (*text != '\0' && strcmp(text, ".") != 0) {
        size_t label = strcspn(text, ".");
        if (label == 0 || label > 63 || name.size + label + 2 > NAME_MAX_SIZE) {
            FAIL("not a domain name: %s", text);
        }
        name.wire[name.size++] = (uint8_t)label;
        for (size_t i = 0; i < label; i++) {
            name.wire[name.size++] = lower((uint8_t)text[i]);
        }
        text += label + (text[label] == '.');
    }
    name.wire[name.size++] = 0;
    return name;
}

size_t name_read(const uint8_t *message, size_t size, size_t at, wire_name *name) {
    size_t behind = 0;
    size_t lowest = at; /* a pointer leads to before what was read */
    name->size = 0;
    while (at < size) {
        uint8_t octet = message[at];
        if (octet >= 0xC0) {
            if (at + 1 >= size) {
                return 0;
            }
            size_t to = (size_t)(octet & 0x3F) << 8 | message[at + 1];
            behind = behind > 0 ? behind : at + 2;
            if (to >= lowest) {
                return 0;
            }
            at = lowest = to;
            continue;
        }
        if (octet > 63 || at + 1 + octet > size || name->size + 1 + octet > NAME_MAX_SIZE) {
            return 0;
        }
        name->wire[name->size++] = octet;
        for (size_t i = 1; i <= octet; i++) {
            name->wire[name->size++] = lower(message[at + i]);
        }
        at += 1U + octet;
        if (octet == 0) {
            return behind > 0 ? behind : at;
        }
    }
    return 0;
}

bool name_equals(const wire_name *name, const wire_name *other) {
    return name->size == other->size && memcmp(name->wire, other->wire, name->size) == 0;
}

bool name_is_below(const wire_name *name, const wire_name *top) {
    size_t at = 0;
    while (name->size - at > top->size) {
        at += 1U + name->wire[at];
    }
    return name->size - at == top->size && memcmp(name->wire + at, top->wire, top->size) == 0;
}
