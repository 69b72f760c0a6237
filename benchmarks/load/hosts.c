#include "hosts.h"

#include <string.h>

enum { DIGITS = 8, DOMAIN_DIGITS = 5, NIBBLES = 32 };

static char *put(char *at, const char *text) {
    size_t size = strlen(text);
    memcpy(at, text, size);
    return at + size;
}

/* Write a number with at least so many digits. */
static char *put_number(char *at, uint32_t number, unsigned base, unsigned digits) {
    char reversed[10];
    unsigned size = 0;
    do {
        reversed[size++] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0 || size < digits);
    while (size > 0) {
        *at++ = reversed[--size];
    }
    return at;
}

size_t host_fqdn(const host_plan *plan, uint32_t host, char text[HOST_TEXT_MAX]) {
    char *at = put(text, "h");
    at = put_number(at, host, 10, DIGITS);
    if (plan->domains > 1) {
        at = put(at, ".d");
        at = put_number(at, host % plan->domains, 10, DOMAIN_DIGITS);
    }
    return (size_t)(put(at, ".bench.example.") - text);
}

/* How many IPv4 addresses there are. */
static uint32_t addresses(const host_plan *plan) {
    return plan->domains > 1 ? plan->domains * 256 : UINT32_C(1) << 24;
}

size_t host_address(const host_plan *plan, uint32_t host, char text[HOST_TEXT_MAX]) {
    if (plan->ipv6) {
        char *at = put(text, "2001:db8:");
        if (plan->domains > 1) {
            at = put_number(at, host % plan->domains, 16, 1);
            at = put(at, ":");
        }
        at = put(at, ":");
        if (host >> 16 != 0) {
            at = put_number(at, host >> 16, 16, 1);
            at = put(at, ":");
        }
        return (size_t)(put_number(at, host & 0xFFFF, 16, 1) - text);
    }
    uint32_t low = host % addresses(plan);
    if (plan->domains > 1) {
        low = (low % plan->domains) << 8 | low / plan->domains;
    }
    char *at = put(text, "10.");
    at = put_number(at, low >> 16, 10, 1);
    at = put(at, ".");
    at = put_number(at, low >> 8 & 255, 10, 1);
    at = put(at, ".");
    return (size_t)(put_number(at, low & 255, 10, 1) - text);
}

/* Read one label as a number; returns the offset behind it, 0 when it is none. */
static size_t read_label(const wire_name *name, size_t at, size_t skip, unsigned base, uint32_t *number) {
    size_t end = at < name->size ? at + 1 + name->wire[at] : 0;
    *number = 0;
    if (end == 0 || at + 1 + skip >= end) {
        return 0;
    }
    for (at += 1 + skip; at < end; at++) {
        const char *digits = "0123456789abcdef";
        const char *digit = memchr(digits, name->wire[at], base);
        if (digit == NULL) {
            return 0;
        }
        *number = *number * base + (uint32_t)(digit - digits);
    }
    return end;
}

bool host_of_fqdn(const wire_name *name, uint32_t *host) {
    return name->wire[0] == DIGITS + 1 && name->wire[1] == 'h' && read_label(name, 0, 1, 10, host) != 0;
}

static bool host_of_ipv6(const wire_name *name, uint32_t *host) {
    size_t at = 0;
    *host = 0;
    for (unsigned i = 0; i < NIBBLES / 4; i++) {
        uint32_t nibble;
        at = read_label(name, at, 0, 16, &nibble);
        if (at == 0) {
            return false;
        }
        *host |= nibble << 4 * i;
    }
    return true;
}

bool host_of_reverse(const host_plan *plan, const wire_name *name, uint32_t limit, uint32_t *host) {
    if (plan->ipv6) {
        return host_of_ipv6(name, host);
    }
    uint32_t low = 0;
    size_t at = 0;
    for (unsigned i = 0; i < 3; i++) {
        uint32_t octet;
        at = read_label(name, at, 0, 10, &octet);
        if (at == 0 || octet > 255) {
            return false;
        }
        low |= octet << 8 * i;
    }
    if (plan->domains > 1) {
        low = (low & 255) * plan->domains + (low >> 8);
    }
    uint32_t turn = addresses(plan);
    if (low >= limit || low >= turn) {
        return false;
    }
    *host = low + (limit - 1 - low) / turn * turn;
    return true;
}
