/* TSIG keys of the configuration, of compiled libraries and of Python, and signing one message with any of them. */
#ifndef PYD2_KEA_KEYS_H
#define PYD2_KEA_KEYS_H

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C interface */

/* A key. The library that made it stays mapped while the handle lives. kb_key_free(). */
typedef struct kb_key kb_key;

/* The signing of one message and the verification of its reply. kb_signing_free(). */
typedef struct kb_signing kb_signing;

/* The parts of a key. The pointers are valid while the handle lives. */
typedef struct kb_key_facts {
    const char* name;           /* in lower case, with its final dot */
    const char* algorithm;      /* the same */
    const uint8_t* secret;      /* NULL when there is none */
    size_t secret_size;
    size_t digest_bits;
    int plain;                  /* 1: Kea's own class, which signs with the secret; 0: a class of a library */
} kb_key_facts;

/* Make a key of Kea's class. `algorithm` is a domain name (hmac-sha256). NULL if Kea refuses a value. */
kb_key* kb_key_new(const char* name, const char* algorithm, const uint8_t* secret, size_t secret_size,
                   size_t digest_bits);

/*
 * Make a key that signs in Python: the callbacks `signing_begin` and `released` (slots.h) get `reference`. To compiled
 * libraries it is a D2TsigKey with its own createContext().
 */
kb_key* kb_key_of_python(const char* name, const char* algorithm, int64_t reference);

/* Get the parts of a key; -1 on failure. */
int kb_key_facts_of(kb_key* key, kb_key_facts* facts);

/* Return a number that is the same for two handles if, and only if, they hold the same key object. */
uintptr_t kb_key_identity(const kb_key* key);

/* Return 1 if libraries or other handles hold the key as well, else 0. */
int kb_key_shared(const kb_key* key);

/* Free a handle, and with the last one the key. NULL is allowed. */
void kb_key_free(kb_key* key);

/*
 * Begin to sign a message: the key's createContext() runs. NULL if it throws. If it returns null, the message is not
 * signed and its reply not verified, as in Kea.
 */
kb_signing* kb_signing_new(kb_key* key);

/* Free it. NULL is allowed. */
void kb_signing_free(kb_signing* signing);

/* Return how many octets signing may add, 0 without a context; -1 on failure. */
int kb_signing_length(kb_signing* signing);

/*
 * Sign a DNS message of at least 12 octets, with its query ID in it. Returns the TSIG record to append, *size octets
 * (0 without a context), which kb_free() frees; NULL if the context throws or returns null.
 */
uint8_t* kb_signing_sign(kb_signing* signing, const uint8_t* message, size_t length, size_t* size);

/* Verify a whole reply. Returns the TSIG error (0: authentic), -1 if the reply is malformed or the context throws. */
int kb_signing_verify(kb_signing* signing, const uint8_t* reply, size_t length);

/* Return the name of a TSIG error, such as BADSIG; kb_free() frees it. NULL on failure. */
char* kb_tsig_error_text(int error);

/* end of the C interface */
#ifdef __cplusplus
}

#include "generation.h"

#include <d2srv/d2_tsig_key.h>
#include <dns/tsig.h>

#include <string>

struct kb_key {
    pyd2::GenerationPtr generation;  // destroyed after the other members
    isc::d2::D2TsigKeyPtr value;
    std::string name;  // this and the next are set by kb_key_facts_of()
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
