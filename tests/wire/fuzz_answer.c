/* Fuzzes the answers to questions: an octet that chooses the key, the size of the question's MAC, and the answer. */
#include "answer.h"
#include "harness.h"
#include "tries.h"

static const uint8_t KEY[] = "\1k";
static const uint8_t ALGORITHM[] = "\13hmac-sha256";
static const uint8_t NAME[] = "\4Host\7example\3com";
static const uint8_t DHCID[] = {0, 1, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
                                21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static wire_key *key;
    if (key == NULL) {
        key = wire_key_new(KEY, sizeof KEY, ALGORITHM, sizeof ALGORITHM, "sha256", KEY, 1, 32);
        CHECK(key != NULL);
    }
    input from = {data, size};
    int with_key = next_octet(&from) & 1;
    size_t mac_size = next_octet(&from);
    uint8_t *mac = next_octets(&from, &mac_size);
    size_t answer_size = from.left;
    uint8_t *answer = next_octets(&from, &answer_size);
    int found = wire_answer_read(answer, answer_size, with_key ? key : NULL, mac, mac_size, 1700000000, NAME,
                                 sizeof NAME, DHCID, sizeof DHCID);
    CHECK(found == WIRE_TRY_JUDGE || (found <= WIRE_TRY_FREE && found >= WIRE_TRY_OTHERWISE));
    if (found != WIRE_TRY_JUDGE) {
        CHECK(answer_size >= 12 + sizeof NAME + 4 && answer[2] >= 0x80 && answer[5] == 1);
        CHECK((answer[3] & 15) == (found == WIRE_TRY_FREE ? 3 : 0));
        CHECK(answer[7] == (found == WIRE_TRY_OURS || found == WIRE_TRY_OTHERWISE));
        CHECK(!with_key || (answer[10] << 8 | answer[11]) > 0);
    }
    uint8_t question[300];
    CHECK(wire_question_write(NAME, sizeof NAME, question, sizeof question) == 12 + sizeof NAME + 4);
    free(answer);
    free(mac);
    return 0;
}
