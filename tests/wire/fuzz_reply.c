/* Fuzzes the checks of replies: an octet that chooses the key, the size of the request's MAC, and the reply. */
#include "harness.h"
#include "reply.h"

static const uint8_t NAME[] = "\1k";
static const uint8_t ALGORITHM[] = "\13hmac-sha256";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static wire_key *key;
    if (key == NULL) {
        key = wire_key_new(NAME, sizeof NAME, ALGORITHM, sizeof ALGORITHM, "sha256", NAME, 1, 16);
        CHECK(key != NULL);
    }
    input from = {data, size};
    int with_key = next_octet(&from) & 1;
    size_t mac_size = next_octet(&from);
    uint8_t *mac = next_octets(&from, &mac_size);
    size_t reply_size = from.left;
    uint8_t *reply = next_octets(&from, &reply_size);
    int rcode = wire_reply_read(reply, reply_size, with_key ? key : NULL, mac, mac_size, 1700000000);
    CHECK(rcode < 16);
    CHECK(rcode < 0 || (rcode == (reply[3] & 15) && reply[2] >> 3 == (0x80 >> 3 | 5)));
    free(reply);
    free(mac);
    return 0;
}
