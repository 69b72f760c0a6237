/*
 * libcrypto's functions for hashes and ciphers, found by name at run time: so one compiled module works with the
 * OpenSSL of every system, and is compiled without its headers. Types and functions are those of OpenSSL 3, which
 * tests/wire/test_wire_crypto.py checks. Not for Python, but for wire_crypto_problem.
 */
#ifndef PYD2_WIRE_CRYPTO_H
#define PYD2_WIRE_CRYPTO_H

#include <stddef.h>

#include "libcrypto.h"

typedef struct evp_md_st EVP_MD;
typedef struct evp_md_ctx_st EVP_MD_CTX;
typedef struct evp_cipher_st EVP_CIPHER;
typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
struct engine_st;
struct ossl_lib_ctx_st;
struct ossl_param_st;

typedef EVP_MD *wire_md_fetch(struct ossl_lib_ctx_st *context, const char *digest, const char *properties);
typedef void wire_md_free(EVP_MD *digest);
typedef int wire_md_number(const EVP_MD *digest);
typedef EVP_MD_CTX *wire_state_new(void);
typedef void wire_state_free(EVP_MD_CTX *state);
typedef int wire_state_copy(EVP_MD_CTX *to, const EVP_MD_CTX *from);
typedef int wire_digest(const void *data, size_t size, unsigned char *result, unsigned *result_size,
                        const EVP_MD *digest, struct engine_st *engine);
typedef int wire_digest_init(EVP_MD_CTX *state, const EVP_MD *digest, struct engine_st *engine);
typedef int wire_digest_update(EVP_MD_CTX *state, const void *data, size_t size);
typedef int wire_digest_final(EVP_MD_CTX *state, unsigned char *result, unsigned *result_size);
typedef EVP_CIPHER *wire_cipher_fetch(struct ossl_lib_ctx_st *context, const char *cipher, const char *properties);
typedef void wire_cipher_free(EVP_CIPHER *cipher);
typedef EVP_CIPHER_CTX *wire_cipher_state_new(void);
typedef void wire_cipher_state_free(EVP_CIPHER_CTX *state);
typedef int wire_encrypt_init(EVP_CIPHER_CTX *state, const EVP_CIPHER *cipher, const unsigned char *key,
                              const unsigned char *begin, const struct ossl_param_st *parameters);
typedef int wire_encrypt_update(EVP_CIPHER_CTX *state, unsigned char *result, int *result_size,
                                const unsigned char *data, int size);
typedef void wire_cleanse(void *data, size_t size);
typedef int wire_compare(const void *one, const void *other, size_t size);

/* The functions of libcrypto that TSIG and MICs need. Those that return an int return 1 for success, but for sizes. */
typedef struct {
    wire_md_fetch *md_fetch;
    wire_md_free *md_free;
    wire_md_number *md_size;
    wire_md_number *md_block_size;
    wire_state_new *state_new;
    wire_state_free *state_free;
    wire_state_copy *state_copy;
    wire_digest *digest;
    wire_digest_init *digest_init;
    wire_digest_update *digest_update;
    wire_digest_final *digest_final;
    wire_cipher_fetch *cipher_fetch;
    wire_cipher_free *cipher_free;
    wire_cipher_state_new *cipher_state_new;
    wire_cipher_state_free *cipher_state_free;
    wire_encrypt_init *encrypt_init;
    wire_encrypt_update *encrypt_update;
    wire_cleanse *cleanse;
    wire_compare *compare; /* 0: equal; takes as long, whatever differs */
} wire_crypto_functions;

/* Set where wire_crypto_problem() has returned "". */
extern wire_crypto_functions wire_crypto;

#endif
