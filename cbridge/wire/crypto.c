#include "crypto.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

wire_crypto_functions wire_crypto;

/* By preference. OpenSSL 3 is what pyd2 is tested with; all that is used of it is in OpenSSL 4, too. */
static const char *const LIBRARIES[] = {"libcrypto.so.3", "libcrypto.so.4"};

static const struct {
    const char *name;
    size_t place;
} SYMBOLS[] = {
    {"EVP_MD_fetch", offsetof(wire_crypto_functions, md_fetch)},
    {"EVP_MD_free", offsetof(wire_crypto_functions, md_free)},
    {"EVP_MD_get_size", offsetof(wire_crypto_functions, md_size)},
    {"EVP_MD_get_block_size", offsetof(wire_crypto_functions, md_block_size)},
    {"EVP_MD_CTX_new", offsetof(wire_crypto_functions, state_new)},
    {"EVP_MD_CTX_free", offsetof(wire_crypto_functions, state_free)},
    {"EVP_MD_CTX_copy_ex", offsetof(wire_crypto_functions, state_copy)},
    {"EVP_Digest", offsetof(wire_crypto_functions, digest)},
    {"EVP_DigestInit_ex", offsetof(wire_crypto_functions, digest_init)},
    {"EVP_DigestUpdate", offsetof(wire_crypto_functions, digest_update)},
    {"EVP_DigestFinal_ex", offsetof(wire_crypto_functions, digest_final)},
    {"EVP_CIPHER_fetch", offsetof(wire_crypto_functions, cipher_fetch)},
    {"EVP_CIPHER_free", offsetof(wire_crypto_functions, cipher_free)},
    {"EVP_CIPHER_CTX_new", offsetof(wire_crypto_functions, cipher_state_new)},
    {"EVP_CIPHER_CTX_free", offsetof(wire_crypto_functions, cipher_state_free)},
    {"EVP_EncryptInit_ex2", offsetof(wire_crypto_functions, encrypt_init)},
    {"EVP_EncryptUpdate", offsetof(wire_crypto_functions, encrypt_update)},
    {"OPENSSL_cleanse", offsetof(wire_crypto_functions, cleanse)},
    {"CRYPTO_memcmp", offsetof(wire_crypto_functions, compare)},
};

static bool looked;
static char problem[512];

/* Keep why the last library does not do, behind what is kept of those before. */
static void add_problem(void) {
    const char *text = dlerror();
    if (problem[0] != '\0') {
        strncat(problem, "; ", sizeof problem - 1 - strlen(problem));
    }
    strncat(problem, text == NULL ? "unknown error" : text, sizeof problem - 1 - strlen(problem));
}

/* Fill the table from a library. Returns whether it has all functions. */
static bool use(void *library) {
    for (size_t i = 0; i < sizeof SYMBOLS / sizeof SYMBOLS[0]; i++) {
        void *function = dlsym(library, SYMBOLS[i].name);
        if (function == NULL) {
            return false;
        }
        memcpy((char *)&wire_crypto + SYMBOLS[i].place, &function, sizeof function);
    }
    return true;
}

const char *wire_crypto_problem(void) {
    for (size_t i = 0; i < sizeof LIBRARIES / sizeof LIBRARIES[0] && !looked; i++) {
        /* It stays open as long as the process lives: keys have its states. */
        void *library = dlopen(LIBRARIES[i], RTLD_NOW | RTLD_LOCAL);
        looked = library != NULL && use(library);
        if (looked) {
            problem[0] = '\0';
        } else {
            add_problem();
        }
    }
    looked = true;
    return problem;
}
