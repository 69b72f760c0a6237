/* What the kernel knows of the D2. */
#ifndef LOAD_PROCESS_H
#define LOAD_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* Return the CPU time of a process, with all its threads, in nanoseconds; 0 when there is no such process. */
uint64_t process_cpu_ns(int pid);

/* Return the resident memory of a process in kB: the present one, or the highest so far. 0: unknown. */
long process_memory_kb(int pid, bool highest);

typedef struct {
    bool bound;
    unsigned long waiting; /* octets */
    unsigned long dropped; /* datagrams */
} receive_queue;

/* Return the state of the UDP sockets that are bound to a port. */
receive_queue receive_queue_of(uint16_t port);

#endif
