/*
 * The glue between pyd2's Python code and hook libraries in C.
 *
 * Downwards (Python to C), in downward.c: opening a library and calling its functions. These are untyped pointers
 * here, because Python only stores them.
 *
 * Upwards (C to Python), in table.c: the table of pyd2_hook.h. Its functions check the thread and null pointers
 * (guard.h), and call the pyd2_py_ functions, which are written in Python (pyd2/hooks/c/api.py) and return the same
 * codes. Handles are numbers there.
 *
 * callouts.c answers in C what callouts on select_key ask for each update: status, server and key. A call into Python
 * costs 1 to 2 us, and a whole use of hooks shall cost less than 4.
 */
#ifndef PYD2_GLUE_H
#define PYD2_GLUE_H

#include "pyd2_hook.h"

/* cffi reads the rest of this file, to its last line. */

/* Make the calling thread the hook thread: the only one that may use the table. */
void pyd2_glue_claim_thread(void);

/* Make all functions of the table fail: the interpreter is about to end. */
void pyd2_glue_retire(void);

/* Set the text of last_error() on this thread; a long one is cut. */
void pyd2_glue_set_error(const char *text, size_t length);

/*
 * Open a shared object. Returns its handle, for pyd2_glue_close(); or null, and *reason is the system's text, which
 * lives until the next failure on this thread.
 */
void *pyd2_glue_open(const char *path, const char **reason);
void pyd2_glue_close(void *object);

/* Return the address of a symbol of an open shared object, null if it has none. */
void *pyd2_glue_symbol(void *object, const char *name);

/* Return the name of the function at an address, "" if its library does not export it. */
const char *pyd2_glue_name_of(void *function);

/* Call pyd2_hook_requires(), pyd2_hook_version(), pyd2_hook_load() or pyd2_hook_unload() of a library. */
void pyd2_glue_requires(void *function, uint32_t *version, uint32_t *api_size);
pyd2_hook_requirement pyd2_glue_version(void *function);
int pyd2_glue_load(void *function, uintptr_t library, void **state);
int pyd2_glue_unload(void *function, void *state);

/* What libraries can read of a DNS server. */
typedef struct pyd2_glue_server {
    pyd2_hook_text address;
    pyd2_hook_text key_name;
    uint16_t port;
} pyd2_glue_server;

/* What a callout returned and decided. */
typedef struct pyd2_glue_outcome {
    int code;
    int status;
    int key_set;   /* 1: it set tsig_key */
    uintptr_t key; /* the key that it set; 0: none, unsigned */
} pyd2_glue_outcome;

/*
 * Run a callout. `callout` is its handle; the next number is the server's. status is that of the callouts before.
 * server is null on hook points without one. Returns 0 if the callout returned 0 and changed nothing: *outcome need
 * not be read then.
 */
int pyd2_glue_callout(void *function, void *user, uintptr_t callout, const pyd2_glue_server *server,
                      int status, pyd2_glue_outcome *outcome);

/*
 * Remember a key with a valid handle, until that ends. Only some keys are remembered; others are looked up in Python.
 */
void pyd2_glue_key_begins(uintptr_t key);
void pyd2_glue_key_ends(uintptr_t key);
void pyd2_glue_timer(void *function, uintptr_t timer, void *user);
void pyd2_glue_destroy(void *function, void *value);

/* Call a function of a signer. A function that is left out succeeds. */
int pyd2_glue_begin(const pyd2_hook_signer *signer, void *user, void **context);
int pyd2_glue_sign(const pyd2_hook_signer *signer, void *user, void *context, const char *data, size_t length,
                   char *mac, size_t *mac_length);
int pyd2_glue_verify(const pyd2_hook_signer *signer, void *user, void *context, const char *data,
                     size_t length, const char *mac, size_t mac_length);
void pyd2_glue_end(const pyd2_hook_signer *signer, void *user, void *context);
void pyd2_glue_release(const pyd2_hook_signer *signer, void *user);

#endif
