#include "mic.h"

#include <stdlib.h>

#include "error.h"
#include "tsig_key.h"

enum {
    HEAD_SIZE = 16, /* octets of a token in front of its checksum */
    NUMBER_AT = 8,  /* where its sequence number is */
    FLAGS_AT = 2,
    BY_ACCEPTOR = 1,
    ACCEPTOR_SUBKEY = 4,
    WINDOW = 64,      /* numbers back to which copies are known; older ones are refused */
    KEY_MAX = 32,
    FOLDED_SIZE = 16  /* also that of a block of AES */
};

/* GSS_C_INQ_SSPI_SESSION_KEY; it returns the key, and the OID of its encryption type: this one and its number. */
static const uint8_t SESSION_KEY[] = {0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 1, 2, 2, 5, 5};
static const uint8_t ENCRYPTION[] = {0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 1, 2, 2, 4};

/* What a checksum key is derived by: its usage and 0x99, and that folded to 128 bits (RFC 3961, section 5). */
typedef struct {
    uint8_t label[5];
    uint8_t folded[FOLDED_SIZE];
} usage;

static const usage INITIATOR_SIGN = {
    {0, 0, 0, 25, 0x99},
    {0x5D, 0xFB, 0x7D, 0xBF, 0x53, 0x68, 0xCE, 0x69, 0x98, 0x4B, 0xA5, 0xD2, 0xE6, 0x43, 0x34, 0xBA}};
static const usage ACCEPTOR_SIGN = {
    {0, 0, 0, 23, 0x99},
    {0x4D, 0xF3, 0xFA, 0x7D, 0x33, 0x57, 0xCD, 0x60, 0x94, 0x49, 0xA4, 0xD2, 0x66, 0x42, 0xF4, 0x9A}};

/* An encryption type. */
typedef struct {
    uint8_t number;
    uint8_t key_size;
    uint8_t checksum_key_size;
    uint8_t checksum_size;
    char digest[8];
    char cipher[12]; /* derives the checksum keys; empty: the digest does */
} encryption;

static const encryption ENCRYPTIONS[] = {
    {17, 16, 16, 12, "sha1", "AES-128-ECB"}, /* RFC 3962 */
    {18, 32, 32, 12, "sha1", "AES-256-ECB"},
    {19, 16, 16, 16, "sha256", ""}, /* RFC 8009 */
    {20, 32, 24, 24, "sha384", ""},
};

struct wire_mic {
    wire_key *own;   /* makes the checksums of the initiator */
    wire_key *other; /* those of the acceptor */
    uint64_t next;   /* the number of the next token */
    uint64_t newest; /* the highest number of the acceptor's */
    uint64_t seen;   /* bit n: newest - n has come; 0: nothing has */
    uint8_t flags;
    bool begun;
    bool refuses_copies;
};

/* Return the HMAC of a key, which is cut to `mac_size`; null at failure. */
static wire_key *hmac(const encryption *type, const uint8_t *key, size_t size, size_t mac_size) {
    static const uint8_t none[1] = {0}; /* it has no name */
    return wire_key_new(none, 0, none, 0, type->digest, key, size, mac_size);
}

/* Derive a key as RFC 3961, section 5.1, says. Returns whether libcrypto did it. */
static bool derive_by_cipher(const encryption *type, const uint8_t *key, const usage *use, uint8_t derived[KEY_MAX]) {
    EVP_CIPHER *cipher = wire_crypto.cipher_fetch(NULL, type->cipher, NULL);
    EVP_CIPHER_CTX *state = wire_crypto.cipher_state_new();
    bool done = cipher != NULL && state != NULL && wire_crypto.encrypt_init(state, cipher, key, NULL, NULL) == 1;
    const uint8_t *block = use->folded;
    for (size_t at = 0; at < type->checksum_key_size && done; at += FOLDED_SIZE) {
        int size = 0;
        done = wire_crypto.encrypt_update(state, derived + at, &size, block, FOLDED_SIZE) == 1 && size == FOLDED_SIZE;
        block = derived + at;
    }
    wire_crypto.cipher_state_free(state);
    wire_crypto.cipher_free(cipher);
    return done;
}

/* Derive a key as RFC 8009, section 3, says. Returns whether libcrypto did it. */
static bool derive_by_digest(const encryption *type, const uint8_t *key, const usage *use, uint8_t derived[KEY_MAX]) {
    static const uint8_t counter[] = {0, 0, 0, 1};
    const uint8_t behind[] = {0, 0, 0, 0, (uint8_t)(8 * type->checksum_key_size)};
    const wire_part parts[] = {
        {counter, sizeof counter}, {use->label, sizeof use->label}, {behind, sizeof behind}};
    uint8_t mac[WIRE_MAC_MAX];
    wire_key *base = hmac(type, key, type->key_size, type->checksum_size);
    bool done = base != NULL && wire_hmac(base, parts, sizeof parts / sizeof parts[0], mac) == 0;
    if (done) {
        memcpy(derived, mac, type->checksum_key_size);
    }
    wire_crypto.cleanse(mac, sizeof mac);
    wire_key_free(base);
    return done;
}

/* Return what makes the checksums for a usage; null at failure. */
static wire_key *derive(const encryption *type, const uint8_t *key, const usage *use) {
    uint8_t derived[KEY_MAX];
    bool done = type->cipher[0] != '\0' ? derive_by_cipher(type, key, use, derived)
                                        : derive_by_digest(type, key, use, derived);
    wire_key *made = done ? hmac(type, derived, type->checksum_key_size, type->checksum_size) : NULL;
    wire_crypto.cleanse(derived, sizeof derived);
    return made;
}

/* Return the encryption type of an OID and a key; null: another one. */
static const encryption *find_type(const wire_gss_octets *object, size_t key_size) {
    if (object->size != sizeof ENCRYPTION + 1 || memcmp(object->octets, ENCRYPTION, sizeof ENCRYPTION) != 0) {
        return NULL;
    }
    uint8_t number = ((const uint8_t *)object->octets)[sizeof ENCRYPTION];
    for (size_t i = 0; i < sizeof ENCRYPTIONS / sizeof ENCRYPTIONS[0]; i++) {
        if (ENCRYPTIONS[i].number == number && ENCRYPTIONS[i].key_size == key_size) {
            return &ENCRYPTIONS[i];
        }
    }
    return NULL;
}

/* Prepare a key; null at failure. */
static wire_mic *prepare(const encryption *type, const uint8_t *key, bool refuses_copies) {
    wire_mic *mic = calloc(1, sizeof *mic);
    if (mic == NULL) {
        return NULL;
    }
    mic->own = derive(type, key, &INITIATOR_SIGN);
    mic->other = derive(type, key, &ACCEPTOR_SIGN);
    mic->refuses_copies = refuses_copies;
    if (mic->own == NULL || mic->other == NULL) {
        wire_mic_free(mic);
        mic = NULL;
    }
    return mic;
}

wire_mic *wire_mic_new(const wire_gss *functions, const void *handle, bool refuses_copies) {
    wire_gss_oid object = {sizeof SESSION_KEY, (void *)(uintptr_t)SESSION_KEY};
    wire_gss_octets_set *found = NULL;
    uint32_t minor;
    if (functions->inquire_sec_context_by_oid == NULL || wire_crypto_problem()[0] != '\0') {
        return NULL;
    }
    uint32_t major = functions->inquire_sec_context_by_oid(&minor, handle, &object, &found);
    if (found == NULL) {
        return NULL;
    }
    wire_mic *mic = NULL;
    if (major == 0 && found->count >= 2) {
        wire_gss_octets *key = &found->members[0];
        const encryption *type = find_type(&found->members[1], key->size);
        mic = type != NULL ? prepare(type, key->octets, refuses_copies) : NULL;
        wire_crypto.cleanse(key->octets, key->size);
    }
    functions->release_buffer_set(&minor, &found);
    return mic;
}

void wire_mic_free(wire_mic *mic) {
    if (mic != NULL) {
        wire_key_free(mic->own);
        wire_key_free(mic->other);
        free(mic);
    }
}

/* Write what is in front of a token's checksum. */
static void put_head(uint8_t head[HEAD_SIZE], uint8_t flags, uint64_t number) {
    wire_writer writer = wire_write_to(head, HEAD_SIZE);
    wire_put_u16(&writer, 0x0404);
    wire_put_uint(&writer, (uint64_t)flags << 40 | 0xFFFFFFFFFF, 6);
    wire_put_uint(&writer, number, 8);
}

/* Return whether a token is that of octets under these flags and a key; leave its number. */
static bool is_right(wire_key *key, uint8_t flags, const uint8_t *octets, size_t size, const uint8_t *token,
                     size_t token_size, uint64_t *number) {
    if (token_size != HEAD_SIZE + key->mac_size) {
        return false;
    }
    uint8_t head[HEAD_SIZE];
    uint8_t mac[WIRE_MAC_MAX];
    wire_reader reader = wire_read_from(token + NUMBER_AT, HEAD_SIZE - NUMBER_AT);
    *number = wire_get_uint(&reader, HEAD_SIZE - NUMBER_AT);
    put_head(head, flags, *number);
    const wire_part parts[] = {{octets, size}, {head, HEAD_SIZE}};
    return memcmp(token, head, HEAD_SIZE) == 0 && wire_hmac(key, parts, 2, mac) == 0 &&
           wire_crypto.compare(mac, token + HEAD_SIZE, key->mac_size) == 0;
}

bool wire_mic_begin(wire_mic *mic, const uint8_t *octets, size_t size, const uint8_t *token, size_t token_size) {
    uint64_t number;
    uint8_t flags = token_size > FLAGS_AT ? token[FLAGS_AT] & ACCEPTOR_SUBKEY : 0;
    if (!is_right(mic->own, flags, octets, size, token, token_size, &number)) {
        return false;
    }
    mic->flags = flags;
    mic->next = number + 1;
    mic->begun = true;
    return true;
}

bool wire_mic_begun(const wire_mic *mic) {
    return mic->begun;
}

int wire_mic_sign(wire_mic *mic, const uint8_t *octets, size_t size, uint8_t *token, size_t token_size) {
    uint8_t mac[WIRE_MAC_MAX];
    if (token_size < HEAD_SIZE + mic->own->mac_size) {
        return WIRE_NO_SPACE;
    }
    put_head(token, mic->flags, mic->next);
    const wire_part parts[] = {{octets, size}, {token, HEAD_SIZE}};
    int failed = wire_hmac(mic->own, parts, 2, mac);
    if (failed != 0) {
        return failed;
    }
    memcpy(token + HEAD_SIZE, mac, mic->own->mac_size);
    mic->next++;
    return HEAD_SIZE + (int)mic->own->mac_size;
}

/* Note that a number of the acceptor has come. Returns 0, or why it is refused. */
static uint32_t note_number(wire_mic *mic, uint64_t number) {
    if (mic->seen == 0) {
        mic->newest = number;
        mic->seen = 1;
        return 0;
    }
    uint64_t ahead = number - mic->newest;
    uint64_t behind = mic->newest - number;
    if (ahead > 0 && ahead <= UINT64_MAX / 2) {
        mic->seen = ahead < WINDOW ? mic->seen << ahead | 1 : 1;
        mic->newest = number;
        return 0;
    }
    if (behind >= WINDOW) {
        return WIRE_MIC_OLD;
    }
    uint64_t bit = UINT64_C(1) << behind;
    if (mic->seen & bit) {
        return WIRE_MIC_DUPLICATE;
    }
    mic->seen |= bit;
    return 0;
}

uint32_t wire_mic_verify(wire_mic *mic, const uint8_t *octets, size_t size, const uint8_t *token, size_t token_size) {
    uint64_t number;
    if (!is_right(mic->other, mic->flags | BY_ACCEPTOR, octets, size, token, token_size, &number)) {
        return WIRE_MIC_BAD;
    }
    return mic->refuses_copies ? note_number(mic, number) : 0;
}
