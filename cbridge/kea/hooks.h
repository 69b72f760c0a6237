/*
 * The hook points of the server and the libraries at them, through Kea's HooksManager.
 *
 * All of it is used by the loop's thread only, and not from inside a callout unless said so. So variables of the
 * process, here and in the files beside, need no lock: Kea's HooksManager is one for the process as well, and one
 * chain of libraries at a time is behind it. What other threads of a library may reach, its log lines, has a lock
 * of its own (logging.cc).
 */
#ifndef PYD2_KEA_HOOKS_H
#define PYD2_KEA_HOOKS_H

#include "configuration.h"
#include "slots.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C face */

/* A library of the list to be loaded. */
typedef struct kb_entry {
    const char* path;             /* for a slot, a link to the extension module, named as messages shall show it */
    const kb_element* parameters; /* NULL: none */
    int slot;                     /* 1: a slot; 0: compiled against Kea */
} kb_entry;

/* What the callouts of select_key decided. */
enum {
    KB_AS_GIVEN = 0,   /* go on with this server and the key that was given */
    KB_OTHER_KEY = 1,  /* go on with this server and another key object */
    KB_SKIP = 2        /* skip this server */
};

/*
 * Begin: Kea's process name, loggers and hook points are set up. Once, before all else. The environment must
 * say KEA_LOCKFILE_DIR=none: the lock around log lines is taken by who writes them. -1 on failure.
 */
int kb_start(const kb_callbacks* callbacks);

/* Say that Python is ending: no callback is called any more. */
void kb_stop(void);

/* Return the hooks version of the Kea that this was compiled with: 20603 is Kea 2.6.3. */
int kb_hooks_version(void);

/* Return what the Kea that is loaded says of its build, its version included; kb_free() frees it. NULL. */
char* kb_runs_with(void);

/* Return the path of the extension module; kb_free() frees it. NULL on failure. */
char* kb_module_path(void);

/*
 * Check a compiled library as Kea does when it checks a configuration: open, ask for the version, close. What
 * is wrong is logged by Kea. 1: good, 0: not, -1 on failure.
 */
int kb_check_library(const char* path);

/*
 * Load libraries in order; what was loaded before must be unloaded. 0; 1 when one failed: Kea has logged why,
 * and none is loaded; -1 on failure.
 */
int kb_load(const kb_entry* entries, size_t count);

/*
 * Unload all, the last first. 0; 1 when a callout is still at work, and then the libraries stay mapped;
 * -1 on failure.
 */
int kb_unload(void);

/* Say whether anything is registered on a hook point: 1, 0; -1 on failure. May be called in a callout. */
int kb_callouts_present(const char* hook);

/*
 * Run select_key. `key` is the one in force, NULL for none. Returns what was decided; with KB_OTHER_KEY, *other
 * is the identity of that key, 0 for none: unsigned. -1 on failure.
 */
int kb_select_key(const kb_server* server, const kb_key* key, uintptr_t* other);

/* Return a new handle on the other key of the last selection; NULL for none, or after kb_selection_end(). */
kb_key* kb_selected_key(void);

/* Let go of that key; the next selection does as well. */
void kb_selection_end(void);

/*
 * Run d2_srv_configured. *status is what the callouts leave, *error the text of the argument, which kb_free()
 * frees. The use of the hooks goes on until kb_configured_end(): what is said of the status comes before
 * context_destroy, as in Kea. *changed is NULL, or the configuration described as they have changed it
 * (configuration.h), with the member loggers if these have changed. -1 on failure.
 */
int kb_configured(const kb_element* dhcp_ddns, const kb_config* config, int* status, char** error,
                  kb_element** changed);

/* End that use of the hooks: context_destroy runs. */
void kb_configured_end(void);

/* end of the C face */
#ifdef __cplusplus
}
#endif
#endif
