#include "book.h"

#include <math.h>
#include <stdlib.h>

#include "fail.h"

static void *grow(void *memory, size_t *capacity, size_t needed, size_t size) {
    if (needed <= *capacity) {
        return memory;
    }
    *capacity = *capacity > 0 ? 2 * *capacity : 65536;
    memory = realloc(memory, *capacity * size);
    if (memory == NULL) {
        FAIL("no memory");
    }
    return memory;
}

uint8_t steps_of(const load_options *options, bool removes) {
    unsigned forward = !removes                    ? STEP_ADD
                       : mode_checks(options->mode) ? STEP_REMOVE_ADDRESS | STEP_REMOVE_NAME
                                                    : STEP_REMOVE_NAME;
    return (uint8_t)((options->forward ? forward : 0U) | (options->reverse ? STEP_REVERSE : 0U));
}

void book_sent(book *of, uint8_t steps, uint64_t due) {
    of->entries = grow(of->entries, &of->capacity, of->sent + 1U, sizeof *of->entries);
    of->entries[of->sent++] = (entry){.due_ns = due, .left = steps};
}

void book_completed(book *of, uint32_t index, uint64_t now) {
    entry *request = &of->entries[index];
    request->left = 0;
    if (request->given_up) {
        of->given_up--;
        of->late++;
    }
    of->completed++;
    of->counted += of->counting;
    of->last_ns = now;
    if (of->latencies_from_ns > 0 && request->due_ns >= of->latencies_from_ns) {
        of->latencies =
            grow(of->latencies, &of->latencies_capacity, of->latencies_count + 1, sizeof *of->latencies);
        of->latencies[of->latencies_count++] = (uint32_t)((now - request->due_ns) / 100);
    }
}

void book_answered(book *of, uint32_t host, enum step step, uint64_t now) {
    uint32_t index = host - of->first;
    if (index >= of->sent || (of->entries[index].left & step) == 0) {
        of->repeated++;
    } else if ((of->entries[index].left &= (uint8_t)~step) == 0) {
        book_completed(of, index, now);
    }
}

void book_give_up(book *of, uint64_t due_before) {
    while (of->oldest < of->sent && (of->entries[of->oldest].left == 0 || of->entries[of->oldest].given_up)) {
        of->oldest++;
    }
    for (uint32_t i = of->oldest; i < of->sent && of->entries[i].due_ns < due_before; i++) {
        if (of->entries[i].left != 0 && !of->entries[i].given_up) {
            of->entries[i].given_up = true;
            of->given_up++;
        }
    }
}

uint32_t book_outstanding(const book *of) {
    return of->sent - of->completed - of->given_up;
}

static int compare(const void *a, const void *b) {
    uint32_t one = *(const uint32_t *)a;
    uint32_t other = *(const uint32_t *)b;
    return (one > other) - (one < other);
}

void book_sort(book *of) {
    if (of->latencies_count > 0) {
        qsort(of->latencies, of->latencies_count, sizeof *of->latencies, compare);
    }
}

double book_quantile(const book *of, double part) {
    if (of->latencies_count == 0) {
        return NAN;
    }
    size_t rank = (size_t)ceil(part * (double)of->latencies_count);
    return of->latencies[rank > 0 ? rank - 1 : 0] / 1e4;
}
