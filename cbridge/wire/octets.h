/* Octets, read and written within bounds: nothing else in here moves a pointer into a message. */
#ifndef PYD2_WIRE_OCTETS_H
#define PYD2_WIRE_OCTETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    WIRE_HEADER_SIZE = 12, /* octets of every DNS message's header */
    WIRE_MESSAGE_MAX = 65535 /* octets of the longest DNS message */
};

/* What is still to be read. Once something was missing, that is noted and all that is read is zero. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
    bool missing;
} wire_reader;

static inline wire_reader wire_read_from(const uint8_t *octets, size_t size) {
    /* No octets may be a null pointer, and NULL + 0 is undefined behaviour in C. */
    return (wire_reader){octets, size > 0 ? octets + size : octets, false};
}

static inline size_t wire_left(const wire_reader *reader) {
    return (size_t)(reader->end - reader->at);
}

/* Return the next octets and move behind them; null if there are not as many. */
static inline const uint8_t *wire_read_octets(wire_reader *reader, size_t size) {
    if (size > wire_left(reader)) {
        reader->missing = true;
        reader->at = reader->end;
        return NULL;
    }
    const uint8_t *octets = reader->at;
    reader->at += size;
    return octets;
}

static inline uint64_t wire_get_uint(wire_reader *reader, size_t size) {
    const uint8_t *octets = wire_read_octets(reader, size);
    uint64_t value = 0;
    for (size_t i = 0; octets != NULL && i < size; i++) {
        value = value << 8 | octets[i];
    }
    return value;
}

static inline uint16_t wire_get_u16(wire_reader *reader) {
    return (uint16_t)wire_get_uint(reader, 2);
}

/*
 * Return what follows a datagram of a batch: its datagrams begin `stride` octets apart, or one directly behind the
 * other if that is 0.
 */
static inline const uint8_t *wire_next_datagram(const uint8_t *datagram, size_t stride, uint32_t size) {
    return datagram + (stride != 0 ? stride : size);
}

/* Where the next octet goes. Once something did not fit, full is set and nothing more is written. */
typedef struct {
    uint8_t *begin;
    uint8_t *at;
    uint8_t *end;
    bool full;
} wire_writer;

static inline wire_writer wire_write_to(uint8_t *buffer, size_t size) {
    return (wire_writer){buffer, buffer, buffer + size, false};
}

static inline size_t wire_written(const wire_writer *writer) {
    return (size_t)(writer->at - writer->begin);
}

static inline void wire_put(wire_writer *writer, const void *octets, size_t size) {
    if (writer->full || size > (size_t)(writer->end - writer->at)) {
        writer->full = true;
    } else if (size > 0) {
        memcpy(writer->at, octets, size);
        writer->at += size;
    }
}

static inline void wire_put_uint(wire_writer *writer, uint64_t value, size_t size) {
    uint8_t octets[8];
    for (size_t i = 0; i < size; i++) {
        octets[i] = (uint8_t)(value >> 8 * (size - 1 - i));
    }
    wire_put(writer, octets, size);
}

static inline void wire_put_u16(wire_writer *writer, unsigned value) {
    wire_put_uint(writer, value, 2);
}

static inline void wire_put_u32(wire_writer *writer, uint32_t value) {
    wire_put_uint(writer, value, 4);
}

#endif
