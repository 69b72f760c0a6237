#include "process.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock.h"

uint64_t process_cpu_ns(int pid) {
    clockid_t clock;
    return pid > 0 && clock_getcpuclockid(pid, &clock) == 0 ? clock_ns(clock) : 0;
}

long process_memory_kb(int pid, bool highest) {
    char path[64];
    char line[256];
    long kb = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = pid > 0 ? fopen(path, "r") : NULL;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, highest ? "VmHWM: %ld" : "VmRSS: %ld", &kb) == 1) {
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return kb;
}

static void add_queues(const char *table, uint16_t port, receive_queue *found) {
    FILE *file = fopen(table, "r");
    char line[512];
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        unsigned local;
        unsigned long waiting;
        /* slot: address:port peer:port state sent:waiting ... dropped */
        if (sscanf(line, " %*d: %*32[0-9A-F]:%x %*32[0-9A-F]:%*x %*x %*x:%lx", &local, &waiting) != 2 ||
            local != port) {
            continue;
        }
        unsigned long dropped = 0;
        line[strcspn(line, "\n")] = '\0';
        size_t end = strlen(line);
        while (end > 0 && line[end - 1] == ' ') {
            line[--end] = '\0';
        }
        const char *last = strrchr(line, ' ');
        if (last != NULL) {
            sscanf(last, "%lu", &dropped);
        }
        found->bound = true;
        found->waiting += waiting;
        found->dropped += dropped;
    }
    if (file != NULL) {
        fclose(file);
    }
}

receive_queue receive_queue_of(uint16_t port) {
    receive_queue found = {.bound = false};
    add_queues("/proc/net/udp", port, &found);
    add_queues("/proc/net/udp6", port, &found);
    return found;
}
