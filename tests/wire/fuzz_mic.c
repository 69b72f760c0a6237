/*
 * Fuzzes the MIC tokens of Kerberos: an octet for the encryption type, a key, then what comes. An acceptor whose key is
 * derived here (RFC 8009, section 3) makes the right ones; its numbers are also looked at by a list of those that came.
 */
#include "error.h"
#include "harness.h"
#include "mic.h"
#include "tsig_key.h"

enum { TYPE = 19, KEY_SIZE = 16, TOKEN_SIZE = 32, TOKENS = 400, MESSAGE_MAX = 64 };

static uint8_t key[32];
static uint8_t object[] = {0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 1, 2, 2, 4, 0};
static size_t key_size;
static unsigned members;

/* A GSS-API that gives the key. */
static uint32_t inquire(uint32_t *minor, const void *context, wire_gss_oid *asked, wire_gss_octets_set **found) {
    (void)context;
    *minor = 0;
    CHECK(asked->size == 11);
    wire_gss_octets_set *set = malloc(sizeof *set);
    CHECK(set != NULL);
    *set = (wire_gss_octets_set){members, calloc(2, sizeof *set->members)};
    CHECK(set->members != NULL);
    for (unsigned i = 0; i < members; i++) {
        size_t size = i == 0 ? key_size : sizeof object;
        set->members[i] = (wire_gss_octets){size, malloc(size)};
        CHECK(set->members[i].octets != NULL);
        memcpy(set->members[i].octets, i == 0 ? key : object, size);
    }
    *found = set;
    return members == 0;
}

static uint32_t release_set(uint32_t *minor, wire_gss_octets_set **set) {
    *minor = 0;
    for (size_t i = 0; i < (*set)->count; i++) {
        free((*set)->members[i].octets);
    }
    free((*set)->members);
    free(*set);
    *set = NULL;
    return 0;
}

/* The acceptor. */
static wire_key *acceptor_key(void) {
    static const uint8_t label[] = {0, 0, 0, 1, 0, 0, 0, 23, 0x99, 0, 0, 0, 0, 128};
    static const wire_part part = {label, sizeof label};
    uint8_t mac[WIRE_MAC_MAX];
    wire_key *base = wire_key_new(label, 0, label, 0, "sha256", key, KEY_SIZE, 16);
    CHECK(base != NULL && wire_hmac(base, &part, 1, mac) == 0);
    wire_key_free(base);
    wire_key *made = wire_key_new(label, 0, label, 0, "sha256", mac, KEY_SIZE, 16);
    CHECK(made != NULL);
    return made;
}

static void accept_token(wire_key *acceptor, uint64_t number, const uint8_t *message, size_t size,
                         uint8_t token[TOKEN_SIZE]) {
    uint8_t mac[WIRE_MAC_MAX];
    wire_writer writer = wire_write_to(token, TOKEN_SIZE);
    wire_put_uint(&writer, 0x040401FFFFFFFFFF, 8);
    wire_put_uint(&writer, number, 8);
    const wire_part parts[] = {{message, size}, {token, 16}};
    CHECK(wire_hmac(acceptor, parts, 2, mac) == 0);
    wire_put(&writer, mac, 16);
    CHECK(!writer.full);
}

/* What is to be answered to a number, by those that came. */
static uint32_t expected(const uint64_t *came, size_t count, uint64_t number) {
    uint64_t newest = 0;
    for (size_t i = 0; i < count; i++) {
        newest = came[i] > newest ? came[i] : newest;
    }
    if (count > 0 && number + 64 <= newest) {
        return WIRE_MIC_OLD;
    }
    for (size_t i = 0; i < count; i++) {
        if (came[i] == number) {
            return WIRE_MIC_DUPLICATE;
        }
    }
    return 0;
}

/* Have a side check tokens, right and wrong ones. */
static void receive(wire_mic *mic, bool refuses_copies, input *from) {
    wire_key *acceptor = acceptor_key();
    uint64_t came[TOKENS];
    size_t count = 0;
    for (uint64_t at = UINT64_C(1) << 40; from->left > 0 && count < TOKENS;) {
        uint8_t what = next_octet(from);
        size_t size = next_octet(from) % MESSAGE_MAX;
        uint8_t *message = next_octets(from, &size);
        size_t token_size = TOKEN_SIZE;
        uint8_t *token;
        if (what % 4 == 0) {
            token_size = next_octet(from) % (2 * TOKEN_SIZE);
            token = next_octets(from, &token_size);
            CHECK(wire_mic_verify(mic, message, size, token, token_size) == WIRE_MIC_BAD);
            CHECK(!wire_mic_begin(mic, message, size, token, token_size));
        } else {
            uint64_t number = at + what / 4 - 4;
            at = what % 4 == 1 ? number + 1 : at; /* else it is as if it had overtaken others, or was late */
            number = what % 4 == 3 ? at - what / 2 : number;
            token = malloc(TOKEN_SIZE);
            CHECK(token != NULL);
            accept_token(acceptor, number, message, size, token);
            uint8_t bit = next_octet(from);
            if (bit >= 128) {
                token[bit % TOKEN_SIZE] ^= (uint8_t)(1 << bit / 32 % 4 * 2);
                CHECK(wire_mic_verify(mic, message, size, token, TOKEN_SIZE) == WIRE_MIC_BAD);
            } else {
                uint32_t right = refuses_copies ? expected(came, count, number) : 0;
                CHECK(wire_mic_verify(mic, message, size, token, TOKEN_SIZE) == right);
                if (right == 0) {
                    came[count++] = number;
                }
            }
        }
        free(token);
        free(message);
    }
    wire_key_free(acceptor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const wire_gss gss = {NULL, NULL, NULL, NULL, inquire, release_set};
    static const wire_gss silent = {NULL, NULL, NULL, NULL, NULL, NULL};
    input from = {data, size};
    uint8_t what = next_octet(&from);
    bool refuses_copies = what & 128;
    object[sizeof object - 1] = what % 8 + 15;
    members = what % 64 / 8 == 7 ? next_octet(&from) % 3 : 2;
    key_size = what % 64 / 8 == 6 ? next_octet(&from) % sizeof key + 1 : what % 2 ? 32 : 16;
    key_size = what % 8 == TYPE - 15 ? KEY_SIZE : key_size;
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] = next_octet(&from);
    }
    CHECK(wire_mic_new(&silent, NULL, refuses_copies) == NULL);
    wire_mic *mic = wire_mic_new(&gss, NULL, refuses_copies);
    bool knows = what % 8 >= 2 && what % 8 <= 5;
    CHECK(mic == NULL || knows);
    CHECK(mic != NULL || !knows || members < 2 || key_size != (what % 8 == 3 || what % 8 == 5 ? 32 : 16));
    if (mic == NULL) {
        return 0;
    }
    /* A second one that has not begun makes the token that libgssapi would make first. */
    wire_mic *other = wire_mic_new(&gss, NULL, refuses_copies);
    CHECK(other != NULL && !wire_mic_begun(mic));
    uint8_t token[TOKEN_SIZE + 8];
    int token_size = wire_mic_sign(other, key, sizeof key, token, sizeof token);
    CHECK(token_size == (what % 8 <= 3 ? 28 : what % 8 == 4 ? 32 : 40));
    CHECK(wire_mic_sign(other, key, sizeof key, token, (size_t)token_size - 1) == WIRE_NO_SPACE);
    CHECK(wire_mic_begin(mic, key, sizeof key, token, (size_t)token_size) && wire_mic_begun(mic));
    for (int i = 0; i < 3; i++) {
        uint8_t again[sizeof token];
        CHECK(wire_mic_sign(mic, data, size, again, sizeof again) == token_size);
        CHECK(wire_mic_sign(other, data, size, token, sizeof token) == token_size);
        CHECK(memcmp(again, token, (size_t)token_size) == 0);
        CHECK(wire_mic_verify(mic, data, size, token, (size_t)token_size) == WIRE_MIC_BAD); /* it is the own one */
    }
    if (what % 8 == TYPE - 15) {
        receive(mic, refuses_copies, &from);
    }
    wire_mic_free(other);
    wire_mic_free(mic);
    return 0;
}
