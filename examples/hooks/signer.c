/*
 * Sign with your own code: a key whose sign and verify are functions of this library.
 *
 * The updates to all servers are signed with a key whose secret is read from a file for each of them, so that
 * another program can change it at any time. This is also the place to sign with hardware or by GSS-TSIG.
 *
 *     "hooks-libraries": [ {
 *         "library": "signer.so",
 *         "parameters": { "name": "rolling.", "secret-file": "/run/d2/secret" }
 *     } ]
 *
 * The file holds the secret itself, not its base64 text; without it no update is sent. The algorithm is
 * hmac-sha256, here with OpenSSL's libcrypto. To compile it:
 *
 *     cc -O2 -fPIC -shared signer.c -lcrypto -o signer.so
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pyd2_hook.h"

PYD2_HOOK_DEFINE_VERSION

enum { MAC_SIZE = 32, MOST_SECRET = 1024 };

/* The data of the key. Requests in flight use it after unload: so release destroys it, not unload. */
struct key {
    char secret_file[512];
};

/* One update: its reply is verified with the secret that signed it. */
struct message {
    size_t length;
    uint8_t secret[MOST_SECRET];
};

static int begin(void *user, void **context)
{
    const struct key *key = user;
    struct message *message = calloc(1, sizeof *message);
    FILE *file = fopen(key->secret_file, "rb");

    if (message != NULL && file != NULL)
        message->length = fread(message->secret, 1, sizeof message->secret, file);
    if (file != NULL)
        fclose(file);
    if (message == NULL || message->length == 0) {
        free(message);
        return 1;
    }
    *context = message;
    return 0;
}

static int sign(void *user, void *context, const uint8_t *data, size_t length, uint8_t *mac,
                size_t *mac_length)
{
    const struct message *message = context;
    unsigned int size = 0;

    (void)user;
    if (HMAC(EVP_sha256(), message->secret, (int)message->length, data, length, mac, &size) == NULL)
        return 1;
    *mac_length = size;
    return 0;
}

static int verify(void *user, void *context, const uint8_t *data, size_t length, const uint8_t *mac,
                  size_t mac_length)
{
    uint8_t expected[MAC_SIZE];
    size_t size = sizeof expected;

    if (sign(user, context, data, length, expected, &size) != 0)
        return 16;
    return mac_length == size && CRYPTO_memcmp(mac, expected, size) == 0 ? 0 : 16; /* BADSIG */
}

static void end(void *user, void *context)
{
    (void)user;
    OPENSSL_cleanse(context, sizeof(struct message));
    free(context);
}

struct state {
    const pyd2_hook_api *api;
    pyd2_hook_key *key;
};

static int select_key(pyd2_hook_callout *callout, void *user)
{
    const struct state *state = user;
    return state->api->set_tsig_key(callout, state->key);
}

static int make_key(struct state *state, pyd2_hook_library *library)
{
    static const pyd2_hook_signer signer = {
        .size = sizeof signer, .mac_size = MAC_SIZE, .begin = begin, .sign = sign, .verify = verify, .end = end,
        .release = free };
    const pyd2_hook_api *api = state->api;
    const pyd2_hook_json *parameters;
    pyd2_hook_text name, file;
    struct key *key;

    if (api->parameters(library, &parameters) != PYD2_HOOK_OK
        || api->json_text(parameters, pyd2_hook_string("/name"), &name) != PYD2_HOOK_OK
        || api->json_text(parameters, pyd2_hook_string("/secret-file"), &file) != PYD2_HOOK_OK)
        return 1;
    key = malloc(sizeof *key);
    if (key == NULL)
        return 1;
    snprintf(key->secret_file, sizeof key->secret_file, "%s", file.data);
    if (api->signer_new(library, name, pyd2_hook_string("hmac-sha256"), &signer, key, &state->key)
        != PYD2_HOOK_OK) {
        free(key); /* signer_new() failed: pyd2 does not release it */
        return 1;
    }
    return 0;
}

int pyd2_hook_load(const pyd2_hook_api *api, pyd2_hook_library *library, void **result)
{
    struct state *state;

    if (!pyd2_hook_fits(api))
        return 2;
    state = calloc(1, sizeof *state);
    if (state == NULL)
        return 1;
    *result = state;
    state->api = api;
    if (make_key(state, library) != 0) {
        api->log(library, PYD2_HOOK_ERROR, pyd2_hook_string(api->last_error()));
        return 1;
    }
    return api->register_callout(library, pyd2_hook_string("select_key"), select_key, state);
}

int pyd2_hook_unload(void *state)
{
    free(state);
    return 0;
}
