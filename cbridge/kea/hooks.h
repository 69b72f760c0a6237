/*
 * The hook points of the server and the libraries at them, through Kea's HooksManager.
 *
 * Only the hook thread uses it, and not inside a callout unless a comment allows it. So the static variables
 * here and in the other files need no lock. There is one of each because there is one HooksManager in a process, with
 * one chain of libraries at a time. Only log lines come from other threads of libraries too; they have a lock
 * (logging.cc).
 */
#ifndef PYD2_KEA_HOOKS_H
#define PYD2_KEA_HOOKS_H

#include "configuration.h"
#include "slots.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C interface */

/* An entry of the list of libraries to load. */
typedef struct kb_entry {
    const char* path;             /* of a slot: a link to the extension module, with the name for messages */
    const kb_element* parameters; /* NULL: none */
    int slot;                     /* 1: a slot; 0: compiled against Kea */
} kb_entry;

/* The result of select_key. */
enum {
    KB_AS_GIVEN = 0,   /* use this server and the given key */
    KB_OTHER_KEY = 1,  /* use this server and another key object */
    KB_SKIP = 2        /* skip this server */
};

/*
 * Set up Kea's process name, loggers and hook points; once, before all else. The environment must have
 * KEA_LOCKFILE_DIR=none, because pyd2's log holds the lock while it writes. -1 on failure.
 */
int kb_start(const kb_callbacks* callbacks);

/* Call no callback any more: Python is ending. */
void kb_stop(void);

/* Return the hooks version of the Kea that this was compiled with: 20603 is Kea 2.6.3. */
int kb_hooks_version(void);

/* Return the build report of the loaded Kea, which names its version; kb_free() frees it. NULL on failure. */
char* kb_runs_with(void);

/* Return the paths of Kea's loaded libraries, each followed by a newline; kb_free() frees it. NULL on failure. */
char* kb_kea_libraries(void);

/* Return the path of the extension module; kb_free() frees it. NULL on failure. */
char* kb_module_path(void);

/*
 * Check a compiled library as Kea does when it checks a configuration: open it, ask for its version, close it. Returns
 * 1, or 0 if it is bad and Kea has logged why; -1 on failure.
 */
int kb_check_library(const char* path);

/*
 * Load libraries in order; those loaded before must be unloaded. Returns 0; 1 if one failed: Kea has logged why, and
 * none is loaded; -1 on failure.
 */
int kb_load(const kb_entry* entries, size_t count);

/* Unload all, the last first. Returns 0; 1 if a callout still runs: the libraries stay mapped; -1 on failure. */
int kb_unload(void);

/* Return 1 if a hook point has callouts, else 0; -1 on failure. May be called in a callout. */
int kb_callouts_present(const char* hook);

/*
 * Run select_key. `key` is the configured key or NULL. Returns the result; with KB_OTHER_KEY *other is the identity of
 * that key, 0 for none: unsigned. -1 on failure.
 */
int kb_select_key(const kb_server* server, const kb_key* key, uintptr_t* other);

/* Return a new handle on the other key of the last select_key; NULL for none, or after kb_selection_end(). */
kb_key* kb_selected_key(void);

/* Release that key; the next kb_select_key() does that as well. */
void kb_selection_end(void);

/*
 * Run d2_srv_configured. *status is the status that the callouts leave, *error the text of the argument, which
 * kb_free() frees. *changed is NULL, or the description of the configuration as they changed it (configuration.h),
 * with the member loggers if these changed. The use of hooks lasts until kb_configured_end(), so that the caller can
 * log the status before context_destroy, as Kea does. -1 on failure.
 */
int kb_configured(const kb_element* dhcp_ddns, const kb_config* config, int* status, char** error,
                  kb_element** changed);

/* End that use of hooks: context_destroy runs. */
void kb_configured_end(void);

/* end of the C interface */
#ifdef __cplusplus
}
#endif
#endif
