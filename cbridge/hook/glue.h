/*
 * Between pyd2's Python code and hook libraries in C.
 *
 * Downwards (Python to C): opening a library and calling the functions that it gave, in downward.c. Each takes
 * the library's function as an untyped pointer, because Python only stores it.
 *
 * Upwards (C to Python): the table of pyd2_hook.h. Its functions, in table.c, check the thread and null
 * pointers (guard.h), and call the pyd2_py_ functions, which are written in Python (pyd2/hooks/c/api.py) and
 * return the same codes. Handles become numbers on the way: they are no addresses.
 *
 * What callouts on select_key ask for each update, status, server and key, is answered in C, in callouts.c:
 * crossing into Python and back costs 1 to 2 us, and a whole use of hooks is to cost less than 4.
 */
#ifndef PYD2_GLUE_H
#define PYD2_GLUE_H

#include "pyd2_hook.h"

/* cffi reads the rest of this file, to its last line. */

/* Declare the calling thread to be the libraries': the only one that may use the table. */
void pyd2_glue_claim_thread(void);

/* Let nobody use the table any more: the interpreter is about to end. */
void pyd2_glue_retire(void);

/* Set what last_error() returns in this thread; a text that is too long is cut. */
void pyd2_glue_set_error(const char *text, size_t length);

/*
 * Open a shared object. Returns its handle, to be closed by pyd2_glue_close(); or null, and *reason is the
 * system's text, which lives until the next failure in this thread.
 */
void *pyd2_glue_open(const char *path, const char **reason);
void pyd2_glue_close(void *object);

/* Return the address of a symbol of an open shared object, null if it has none. */
void *pyd2_glue_symbol(void *object, const char *name);

/* Return the name of the function at an address, or "" if its library does not tell it. */
const char *pyd2_glue_name_of(void *function);

/* Ask a library by its pyd2_hook_requires() what it was compiled for, and by its pyd2_hook_version(). */
void pyd2_glue_requires(void *function, uint32_t *version, uint32_t *api_size);
pyd2_hook_requirement pyd2_glue_version(void *function);
int pyd2_glue_load(void *function, uintptr_t library, void **state);
int pyd2_glue_unload(void *function, void *state);

/* What is told of a DNS server. */
typedef struct pyd2_glue_server {
    pyd2_hook_text address;
    pyd2_hook_text key_name;
    uint16_t port;
} pyd2_glue_server;

/* What a callout has returned and decided. */
typedef struct pyd2_glue_outcome {
    int code;
    int status;
    int key_set;   /* 1 if it has set tsig_key */
    uintptr_t key; /* to this, 0 for none */
} pyd2_glue_outcome;

/*
 * Run a callout. `callout` is its handle, and the number behind that is the server's. status is what the
 * callouts before have left. server is null on hook points that have none. Returns 0 when the callout has
 * returned 0 and changed nothing that *outcome tells, which saves reading it.
 */
int pyd2_glue_callout(void *function, void *user, uintptr_t callout, const pyd2_glue_server *server,
                      int status, pyd2_glue_outcome *outcome);

/*
 * Let a key be known to have a valid handle, until that ends. Keys that are not known are looked up in Python,
 * and it is no harm if there are more than are remembered.
 */
void pyd2_glue_key_begins(uintptr_t key);
void pyd2_glue_key_ends(uintptr_t key);
void pyd2_glue_timer(void *function, uintptr_t timer, void *user);
void pyd2_glue_destroy(void *function, void *value);

/* The functions of a signer; those that it may leave out are passed over, and succeed. */
int pyd2_glue_begin(const pyd2_hook_signer *signer, void *user, void **context);
int pyd2_glue_sign(const pyd2_hook_signer *signer, void *user, void *context, const char *data, size_t length,
                   char *mac, size_t *mac_length);
int pyd2_glue_verify(const pyd2_hook_signer *signer, void *user, void *context, const char *data,
                     size_t length, const char *mac, size_t mac_length);
void pyd2_glue_end(const pyd2_hook_signer *signer, void *user, void *context);
void pyd2_glue_release(const pyd2_hook_signer *signer, void *user);

#endif
