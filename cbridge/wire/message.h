/* What UPDATE messages have on the wire (RFC 1035, RFC 2136); for the files that write them. */
#ifndef PYD2_WIRE_MESSAGE_H
#define PYD2_WIRE_MESSAGE_H

enum {
    UPDATE_FLAGS = 5 << 11,
    TYPE_A = 1,
    TYPE_SOA = 6,
    TYPE_AAAA = 28,
    CLASS_IN = 1,
    POINTER = 0xC000
};

#endif
