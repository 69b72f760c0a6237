/* Whether OpenSSL's libcrypto is there, which makes the HMACs. */
#ifndef PYD2_WIRE_LIBCRYPTO_H
#define PYD2_WIRE_LIBCRYPTO_H

/*
 * Find libcrypto. Returns "", or why no library does; then wire_key_new() returns null. The first call must not
 * run beside another one, nor beside wire_key_new().
 */
const char *wire_crypto_problem(void);

#endif
