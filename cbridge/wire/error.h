/* What can be wrong, for all of the compiled packet layer. */
#ifndef PYD2_WIRE_ERROR_H
#define PYD2_WIRE_ERROR_H

/*
 * Functions that return an int return one of these, all below zero, or what they found. None of them is a
 * verdict: whoever gets one does the work again in Python, which says exactly what is wrong, if anything is.
 */
enum wire_error {
    WIRE_UNUSUAL = -1,  /* not in the usual form; it may be right all the same */
    WIRE_NO_SPACE = -2,  /* the result would not fit where it is to go */
    WIRE_BAD_NAME = -3, /* a name that is none, or that ends beyond its octets */
    WIRE_NO_DIGEST = -4, /* libcrypto does not do this digest, or failed */
    WIRE_UNVERIFIED = -5 /* the signature of a reply does not show that the server sent it */
};

#endif
