/* Numbers in network order. */
#ifndef LOAD_OCTETS_H
#define LOAD_OCTETS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t get_u16(const uint8_t *at) {
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t get_u32(const uint8_t *at) {
    return (uint32_t)get_u16(at) << 16 | get_u16(at + 2);
}

static inline void put_u16(uint8_t *at, uint16_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void put_u32(uint8_t *at, uint32_t value) {
    put_u16(at, (uint16_t)(value >> 16));
    put_u16(at + 2, (uint16_t)value);
}

/* Copy octets; return what is behind the copy. */
static inline uint8_t *put_octets(uint8_t *at, const uint8_t *octets, size_t size) {
    memcpy(at, octets, size);
    return at + size;
}

#endif
