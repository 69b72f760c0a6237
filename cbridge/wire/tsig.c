#include "tsig.h"

#include <stdlib.h>

#include "crypto.h"
#include "error.h"
#include "tsig_key.h"

enum {
    FIXED_DATA = 16, /* octets of a TSIG record's data besides the algorithm, the MAC and other data */
    MAX_BLOCK = 144 /* octets of the longest block of a hash function in OpenSSL */
};

/* Return a state behind the key block, each octet of which is combined with `pad` (RFC 2104); null at failure. */
static EVP_MD_CTX *start(const EVP_MD *digest, const uint8_t *block, size_t size, uint8_t pad) {
    uint8_t padded[MAX_BLOCK];
    for (size_t i = 0; i < size; i++) {
        padded[i] = block[i] ^ pad;
    }
    EVP_MD_CTX *state = wire_crypto.state_new();
    if (state != NULL && (wire_crypto.digest_init(state, digest, NULL) != 1 ||
                          wire_crypto.digest_update(state, padded, size) != 1)) {
        wire_crypto.state_free(state);
        state = NULL;
    }
    wire_crypto.cleanse(padded, sizeof padded);
    return state;
}

/* Set the three states of a key. Returns whether libcrypto did all of it. */
static bool set_states(wire_key *key, const EVP_MD *digest, const uint8_t *secret, size_t size) {
    uint8_t block[MAX_BLOCK] = {0};
    size_t block_size = (size_t)wire_crypto.md_block_size(digest);
    if (block_size > sizeof block || key->digest_size > block_size) {
        return false;
    }
    bool done = true;
    if (size > block_size) {
        done = wire_crypto.digest(secret, size, block, NULL, digest, NULL) == 1;
    } else if (size > 0) {
        memcpy(block, secret, size);
    }
    if (done) {
        key->inner = start(digest, block, block_size, 0x36);
        key->outer = start(digest, block, block_size, 0x5C);
        key->work = wire_crypto.state_new();
    }
    wire_crypto.cleanse(block, sizeof block);
    return key->inner != NULL && key->outer != NULL && key->work != NULL;
}

wire_key *wire_key_new(const uint8_t *name, size_t name_size, const uint8_t *algorithm, size_t algorithm_size,
                       const char *digest, const uint8_t *secret, size_t secret_size, size_t mac_size) {
    if (wire_crypto_problem()[0] != '\0') {
        return NULL;
    }
    wire_key *key = NULL;
    /* A fetched digest is what makes copies of its states cheap. */
    EVP_MD *fetched = wire_crypto.md_fetch(NULL, digest, NULL);
    if (fetched == NULL || name_size > WIRE_NAME_MAX || algorithm_size > WIRE_NAME_MAX) {
        goto done;
    }
    key = calloc(1, sizeof *key);
    if (key == NULL) {
        goto done;
    }
    memcpy(key->name, name, name_size);
    memcpy(key->algorithm, algorithm, algorithm_size);
    key->name_size = name_size;
    key->algorithm_size = algorithm_size;
    key->digest_size = (size_t)wire_crypto.md_size(fetched);
    key->mac_size = mac_size;
    key->fudge = WIRE_FUDGE;
    if (key->digest_size > WIRE_MAC_MAX || mac_size < WIRE_MAC_MIN || mac_size < key->digest_size / 2 ||
        mac_size > key->digest_size || !set_states(key, fetched, secret, secret_size)) {
        wire_key_free(key);
        key = NULL;
    }
done:
    wire_crypto.md_free(fetched);
    return key;
}

void wire_key_set_fudge(wire_key *key, uint16_t seconds) {
    key->fudge = seconds;
}

void wire_key_free(wire_key *key) {
    if (key != NULL) {
        wire_crypto.state_free(key->inner);
        wire_crypto.state_free(key->outer);
        wire_crypto.state_free(key->work);
        free(key);
    }
}

int wire_hmac(wire_key *key, const wire_part *parts, size_t count, uint8_t mac[WIRE_MAC_MAX]) {
    bool done = wire_crypto.state_copy(key->work, key->inner) == 1;
    for (size_t i = 0; i < count && done; i++) {
        done = wire_crypto.digest_update(key->work, parts[i].octets, parts[i].size) == 1;
    }
    done = done && wire_crypto.digest_final(key->work, mac, NULL) == 1 &&
           wire_crypto.state_copy(key->work, key->outer) == 1 &&
           wire_crypto.digest_update(key->work, mac, key->digest_size) == 1 &&
           wire_crypto.digest_final(key->work, mac, NULL) == 1;
    return done ? 0 : WIRE_NO_DIGEST;
}

void wire_put_variables(wire_writer *writer, const wire_key *key, uint64_t when, unsigned error,
                        unsigned other_size) {
    wire_put(writer, key->name, key->name_size);
    wire_put_u16(writer, WIRE_CLASS_ANY);
    wire_put_u32(writer, 0);
    wire_put(writer, key->algorithm, key->algorithm_size);
    wire_put_uint(writer, when, 8);
    wire_put_u16(writer, error);
    wire_put_u16(writer, other_size);
}

int wire_sign(wire_key *key, const uint8_t *message, size_t size, uint16_t query_id, uint64_t wall,
              uint8_t *buffer, size_t buffer_size) {
    if (size < WIRE_HEADER_SIZE || (message[10] == 0xFF && message[11] == 0xFF) || wall >> 48 != 0) {
        return WIRE_UNUSUAL;
    }
    wire_writer writer = wire_write_to(buffer, buffer_size);
    wire_put_u16(&writer, query_id);
    wire_put(&writer, message + 2, size - 2);
    if (writer.full) {
        return WIRE_NO_SPACE;
    }
    uint8_t variables[WIRE_VARIABLES_MAX];
    uint8_t mac[WIRE_MAC_MAX];
    uint64_t when = wall << 16 | key->fudge;
    wire_writer signed_too = wire_write_to(variables, sizeof variables);
    wire_put_variables(&signed_too, key, when, 0, 0);
    wire_part parts[] = {{buffer, size}, {variables, wire_written(&signed_too)}};
    int error = wire_hmac(key, parts, 2, mac);
    if (error != 0) {
        return error;
    }
    unsigned additional = (unsigned)(buffer[10] << 8 | buffer[11]) + 1;
    buffer[10] = (uint8_t)(additional >> 8);
    buffer[11] = (uint8_t)additional;
    wire_put(&writer, key->name, key->name_size);
    wire_put_u16(&writer, WIRE_TYPE_TSIG);
    wire_put_u16(&writer, WIRE_CLASS_ANY);
    wire_put_u32(&writer, 0);
    wire_put_u16(&writer, (unsigned)(key->algorithm_size + FIXED_DATA + key->mac_size));
    wire_put(&writer, key->algorithm, key->algorithm_size);
    wire_put_uint(&writer, when, 8);
    wire_put_u16(&writer, (unsigned)key->mac_size);
    wire_put(&writer, mac, key->mac_size);
    wire_put_u16(&writer, query_id);
    wire_put_u32(&writer, 0); /* no error, no other data */
    return writer.full ? WIRE_NO_SPACE : (int)wire_written(&writer);
}
