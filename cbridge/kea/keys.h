/*
 * TSIG keys: those of the configuration, those that compiled libraries bring, and those written in Python;
 * and the signing of one message with any of them.
 */
#ifndef PYD2_KEA_KEYS_H
#define PYD2_KEA_KEYS_H

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C face */

/* A key. The code of the library that made it stays mapped while the handle lives. kb_key_free(). */
typedef struct kb_key kb_key;

/* The signing of one message and the verification of its reply. kb_signing_free(). */
typedef struct kb_signing kb_signing;

/* What a key is made of. The texts and the secret are the key's and stay while the handle lives. */
typedef struct kb_key_facts {
    const char* name;           /* lower case, with its final dot */
    const char* algorithm;      /* the same */
    const uint8_t* secret;      /* NULL when there is none */
    size_t secret_size;
    size_t digest_bits;
    int plain;                  /* 1: Kea's own class, which signs with the secret; 0: a class of a library */
} kb_key_facts;

/*
 * Make a key of Kea's class. `algorithm` is a domain name (hmac-sha256). NULL when a name is none or the
 * algorithm is unknown to Kea.
 */
kb_key* kb_key_new(const char* name, const char* algorithm, const uint8_t* secret, size_t secret_size,
                   size_t digest_bits);

/*
 * Make a key whose signing is Python's: `reference` is given back in the callbacks `signing_begin` and
 * `released` (slots.h). Compiled libraries see a D2TsigKey with a createContext of its own.
 */
kb_key* kb_key_of_python(const char* name, const char* algorithm, int64_t reference);

/* Tell what a key is made of; -1 on failure. */
int kb_key_facts_of(kb_key* key, kb_key_facts* facts);

/* Return a number that two handles have in common exactly when they hold the same key object. */
uintptr_t kb_key_identity(const kb_key* key);

/* Say whether libraries, or other handles, hold the key as well: 1, or 0 when this handle is the last. */
int kb_key_shared(const kb_key* key);

/* Free a handle, and with the last one the key. NULL is allowed. */
void kb_key_free(kb_key* key);

/*
 * Begin to sign a message with a key: its createContext() runs. NULL when it throws. When it returns null the
 * message goes out unsigned, and its reply is not verified, as in Kea.
 */
kb_signing* kb_signing_new(kb_key* key);

/* Free it. NULL is allowed. */
void kb_signing_free(kb_signing* signing);

/* Return how many octets signing may add, 0 without a context; -1 on failure. */
int kb_signing_length(kb_signing* signing);

/*
 * Sign a DNS message of at least 12 octets, which already has its query ID. Returns the TSIG record, *size
 * octets, which the caller appends and kb_free() frees, 0 octets without a context; NULL when the context throws
 * or returns null.
 */
uint8_t* kb_signing_sign(kb_signing* signing, const uint8_t* message, size_t length, size_t* size);

/*
 * Verify a reply, whole as received. Returns the TSIG error (0: authentic), -1 when it cannot be read or the
 * context throws.
 */
int kb_signing_verify(kb_signing* signing, const uint8_t* reply, size_t length);

/* Return the name of a TSIG error, as BADSIG; kb_free() frees it. NULL on failure. */
char* kb_tsig_error_text(int error);

/* end of the C face */
#ifdef __cplusplus
}

#include "generation.h"

#include <d2srv/d2_tsig_key.h>
#include <dns/tsig.h>

#include <string>

struct kb_key {
    pyd2::GenerationPtr generation;  // destroyed after what follows
    isc::d2::D2TsigKeyPtr value;
    std::string name;  // set when they are asked for
    std::string algorithm;
};

struct kb_signing {
    pyd2::GenerationPtr generation;
    isc::d2::D2TsigKeyPtr key;
    isc::dns::TSIGContextPtr context;
};

namespace pyd2 {

/* Return a new handle on a key that came out of a callout, NULL for a null pointer. */
kb_key* wrap(const isc::d2::D2TsigKeyPtr& key);

/* Return the number of kb_key_identity(), 0 for a null pointer. */
inline uintptr_t identity_of(const isc::d2::D2TsigKeyPtr& key) {
    return reinterpret_cast<uintptr_t>(key.get());
}

}  // namespace pyd2
#endif
#endif
