/* Feeds a harness without libFuzzer: standard input has inputs, each behind its length in two octets. */
#include "harness.h"

int main(void) {
    static uint8_t data[65535];
    uint8_t length[2];
    unsigned long count = 0;
    while (fread(length, 1, sizeof length, stdin) == sizeof length) {
        size_t size = (size_t)length[0] << 8 | length[1];
        CHECK(fread(data, 1, size, stdin) == size);
        LLVMFuzzerTestOneInput(data, size);
        count++;
    }
    printf("%lu\n", count);
    return 0;
}
