#include "tsig.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "fail.h"
#include "octets.h"

enum { FUDGE = 300, HEADER_SIZE = 12, BLOCK_MAX = 128, SECRET_MAX = 384, CLASS_ANY = 255 };

static const struct {
    const char *text;
    const char *name;
    const char *digest;
} ALGORITHMS[] = {
    {"hmac-md5", "hmac-md5.sig-alg.reg.int.", "MD5"}, {"hmac-sha1", "hmac-sha1.", "SHA1"},
    {"hmac-sha224", "hmac-sha224.", "SHA224"},        {"hmac-sha256", "hmac-sha256.", "SHA256"},
    {"hmac-sha384", "hmac-sha384.", "SHA384"},        {"hmac-sha512", "hmac-sha512.", "SHA512"},
};

struct tsig_key {
    wire_name name;
    wire_name algorithm;
    size_t mac_size;
    EVP_MD_CTX *inner; /* behind the key block, never changed */
    EVP_MD_CTX *outer; /* the same */
    EVP_MD_CTX *work;
};

static EVP_MD_CTX *keyed(const EVP_MD *digest, const uint8_t *block, size_t size, uint8_t pad) {
    uint8_t padded[BLOCK_MAX];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    for (size_t i = 0; i < size; i++) {
        padded[i] = block[i] ^ pad;
    }
    if (context == NULL || EVP_DigestInit_ex(context, digest, NULL) != 1 ||
        EVP_DigestUpdate(context, padded, size) != 1) {
        FAIL("libcrypto does not do %s", EVP_MD_get0_name(digest));
    }
    return context;
}

/* Decode base64; returns the size. */
static size_t decode(const char *text, uint8_t secret[SECRET_MAX]) {
    size_t size = strlen(text);
    int decoded = size / 4 * 3 < SECRET_MAX ? EVP_DecodeBlock(secret, (const uint8_t *)text, (int)size) : -1;
    for (size_t i = size; decoded > 0 && text[i - 1] == '='; i--) {
        decoded--;
    }
    if (decoded <= 0) {
        FAIL("not a secret in base64: %s", text);
    }
    return (size_t)decoded;
}

tsig_key *tsig_key_new(const char *text) {
    const char *name = strchr(text, ':');
    const char *secret = name != NULL ? strchr(name + 1, ':') : NULL;
    char name_text[NAME_MAX_SIZE];
    if (secret == NULL || secret - name > NAME_MAX_SIZE) {
        FAIL("not ALGORITHM:NAME:BASE64: %s", text);
    }
    memcpy(name_text, name + 1, (size_t)(secret - name - 1));
    name_text[secret - name - 1] = '\0';
    for (size_t i = 0; i < sizeof ALGORITHMS / sizeof *ALGORITHMS; i++) {
        if (strlen(ALGORITHMS[i].text) != (size_t)(name - text) ||
            strncasecmp(ALGORITHMS[i].text, text, (size_t)(name - text)) != 0) {
            continue;
        }
        const EVP_MD *digest = EVP_get_digestbyname(ALGORITHMS[i].digest);
        uint8_t block[SECRET_MAX] = {0};
        size_t size = decode(secret + 1, block);
        if (digest == NULL || size > (size_t)EVP_MD_get_block_size(digest)) {
            FAIL("libcrypto lacks %s, or the secret is longer than its block", ALGORITHMS[i].digest);
        }
        tsig_key *key = get_memory(1, sizeof *key);
        key->name = name_from_text(name_text);
        key->algorithm = name_from_text(ALGORITHMS[i].name);
        key->mac_size = (size_t)EVP_MD_get_size(digest);
        key->inner = keyed(digest, block, (size_t)EVP_MD_get_block_size(digest), 0x36);
        key->outer = keyed(digest, block, (size_t)EVP_MD_get_block_size(digest), 0x5C);
        key->work = EVP_MD_CTX_new();
        return key;
    }
    FAIL("no algorithm of TSIG: %s", text);
}

static void begin(tsig_key *key) {
    EVP_MD_CTX_copy_ex(key->work, key->inner);
}

static void digest(tsig_key *key, const void *octets, size_t size) {
    EVP_DigestUpdate(key->work, octets, size);
}

/* Digest the variables that are signed with a message (RFC 8945, section 4.3.3), without other data. */
static void digest_variables(tsig_key *key, const uint8_t when[8], unsigned error) {
    static const uint8_t class_and_ttl[] = {0, CLASS_ANY, 0, 0, 0, 0};
    const uint8_t end[] = {(uint8_t)(error >> 8), (uint8_t)error, 0, 0};
    digest(key, key->name.wire, key->name.size);
    digest(key, class_and_ttl, sizeof class_and_ttl);
    digest(key, key->algorithm.wire, key->algorithm.size);
    digest(key, when, 8);
    digest(key, end, sizeof end);
}

static void end(tsig_key *key, uint8_t mac[TSIG_MAC_MAX]) {
    EVP_DigestFinal_ex(key->work, mac, NULL);
    EVP_MD_CTX_copy_ex(key->work, key->outer);
    EVP_DigestUpdate(key->work, mac, key->mac_size);
    EVP_DigestFinal_ex(key->work, mac, NULL);
}

bool tsig_verify(tsig_key *key, const uint8_t *message, size_t size, size_t at, uint64_t wall, tsig_mac *mac) {
    wire_name name;
    size_t behind = name_read(message, size, at, &name);
    if (behind == 0 || behind + 10 > size || !name_equals(&name, &key->name)) {
        return false;
    }
    size_t when = name_read(message, size, behind + 10, &name); /* time signed and fudge */
    if (when == 0 || when + 10 + key->mac_size + 6 != size || !name_equals(&name, &key->algorithm) ||
        get_u16(message + when + 8) != key->mac_size) {
        return false;
    }
    const uint8_t *theirs = message + when + 10;
    const uint8_t *rest = theirs + key->mac_size; /* original ID, error, size of other data */
    uint8_t header[HEADER_SIZE];
    memcpy(header, message, sizeof header);
    memcpy(header, rest, 2);
    put_u16(header + 10, (uint16_t)(get_u16(header + 10) - 1));
    begin(key);
    digest(key, header, sizeof header);
    digest(key, message + HEADER_SIZE, at - HEADER_SIZE);
    digest_variables(key, message + when, get_u16(rest + 2));
    end(key, mac->octets);
    mac->size = key->mac_size;
    uint64_t signed_at = (uint64_t)get_u16(message + when) << 32 | get_u32(message + when + 2);
    bool timely = signed_at + FUDGE >= wall && signed_at <= wall + FUDGE;
    return timely && get_u16(rest + 4) == 0 && CRYPTO_memcmp(mac->octets, theirs, mac->size) == 0;
}

size_t tsig_sign(tsig_key *key, uint8_t *reply, size_t size, const tsig_mac *request_mac, uint64_t wall) {
    uint8_t when[8];
    uint8_t mac_size[2];
    uint8_t mac[TSIG_MAC_MAX];
    put_u16(when, (uint16_t)(wall >> 32));
    put_u32(when + 2, (uint32_t)wall);
    put_u16(when + 6, FUDGE);
    put_u16(mac_size, (uint16_t)request_mac->size);
    begin(key);
    digest(key, mac_size, sizeof mac_size);
    digest(key, request_mac->octets, request_mac->size);
    digest(key, reply, size);
    digest_variables(key, when, 0);
    end(key, mac);

    uint8_t *at = put_octets(reply + size, key->name.wire, key->name.size);
    put_u16(at, TSIG_TYPE);
    put_u16(at + 2, CLASS_ANY);
    put_u32(at + 4, 0);
    put_u16(at + 8, (uint16_t)(key->algorithm.size + 10 + key->mac_size + 6));
    at = put_octets(at + 10, key->algorithm.wire, key->algorithm.size);
    at = put_octets(at, when, sizeof when);
    put_u16(at, (uint16_t)key->mac_size);
    at = put_octets(at + 2, mac, key->mac_size);
    at = put_octets(at, reply, 2); /* the original ID */
    put_u32(at, 0);                /* no error, no other data */
    put_u16(reply + 10, (uint16_t)(get_u16(reply + 10) + 1));
    return (size_t)(at + 4 - reply);
}
