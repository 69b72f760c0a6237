/* What messages have on the wire (RFC 1035, RFC 2136, RFC 4701); for the files that write and read them. */
#ifndef PYD2_WIRE_MESSAGE_H
#define PYD2_WIRE_MESSAGE_H

enum {
    UPDATE_FLAGS = 5 << 11,
    TYPE_A = 1,
    TYPE_NS = 2,
    TYPE_SOA = 6,
    TYPE_AAAA = 28,
    TYPE_DHCID = 49,
    CLASS_IN = 1,
    POINTER = 0xC000
};

#endif
