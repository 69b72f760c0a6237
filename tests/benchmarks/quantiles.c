/* Reads lines of latencies in tenths of a microsecond; writes p50, p99, p99.9 and the maximum in ms for each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "book.h"

int main(void) {
    static char line[1 << 20];
    while (fgets(line, sizeof line, stdin) != NULL) {
        load_options options = {.mode = "check-with-dhcid", .forward = true};
        book requests = {.latencies_from_ns = 1};
        uint32_t count = 0;
        for (char *word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n"), count++) {
            book_sent(&requests, steps_of(&options, false), 1);
            book_answered(&requests, count, STEP_ADD, 1 + 100 * strtoull(word, NULL, 10));
        }
        book_sort(&requests);
        printf("%.4f %.4f %.4f %.4f\n", book_quantile(&requests, 0.5), book_quantile(&requests, 0.99),
               book_quantile(&requests, 0.999), book_quantile(&requests, 1));
    }
    return 0;
}
