/*
 * The commands of the control channel that libraries answer, and the hook point that sees them all.
 *
 * Only the hook thread uses it, and not inside a callout.
 */
#ifndef PYD2_KEA_COMMANDS_H
#define PYD2_KEA_COMMANDS_H

#include "elements.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C interface */

/*
 * Register the server's own commands with Kea's CommandMgr, so that libraries can run them: their names, each
 * followed by a newline. The callback `command` runs them. -1 on failure.
 */
int kb_commands_offer(const char* names);

/*
 * Return 1 if a library has registered a command, with its LibraryHandle or the CommandMgr, or has removed one of the
 * server's; else 0; -1 on failure.
 */
int kb_command_present(const char* name);

/* Return the names of those commands, sorted, each followed by a newline; kb_free() frees it. NULL on failure. */
char* kb_command_names(void);

/* Run a command of libraries: `request` is the whole request, *response the answer or NULL. -1 on failure. */
int kb_command_run(const char* name, const kb_element* request, kb_element** response);

/*
 * Run command_processed: *response is the answer or NULL, and is replaced by a new handle on what the callouts leave;
 * the old handle stays the caller's. `arguments` may be NULL. -1 on failure.
 */
int kb_command_processed(const char* name, const kb_element* arguments, kb_element** response);

/* end of the C interface */
#ifdef __cplusplus
}

namespace pyd2 {

/* Remove from the CommandMgr what unloaded libraries have left there; offer the server's commands again. */
void mend_commands();

}  // namespace pyd2
#endif
#endif
