/*
 * The commands of the control channel that libraries answer, and the hook point that sees them all.
 *
 * All of it is used by the loop's thread only, and not from inside a callout.
 */
#ifndef PYD2_KEA_COMMANDS_H
#define PYD2_KEA_COMMANDS_H

#include "elements.h"

#ifdef __cplusplus
extern "C" {
#endif
/* C face */

/*
 * Offer the server's own commands to libraries in Kea's CommandMgr: their names, each followed by a newline.
 * The callback `command` carries them out. -1 on failure.
 */
int kb_commands_offer(const char* names);

/*
 * Say whether a library answers a command, or has taken an offered one away: 1, 0; -1 on failure. It may have
 * registered it with its LibraryHandle, or with the CommandMgr.
 */
int kb_command_present(const char* name);

/* Return the names of those commands, sorted, each followed by a newline; kb_free() frees it. NULL on failure. */
char* kb_command_names(void);

/*
 * Let the libraries answer: `request` is the whole request, *response the answer, NULL for none. -1 on failure.
 */
int kb_command_run(const char* name, const kb_element* request, kb_element** response);

/*
 * Run command_processed: *response is the answer, NULL for none, and becomes what the callouts leave, a new
 * handle; the one given stays the caller's. `arguments` may be NULL. -1 on failure.
 */
int kb_command_processed(const char* name, const kb_element* arguments, kb_element** response);

/* end of the C face */
#ifdef __cplusplus
}

namespace pyd2 {

/* Take away what libraries that are gone, or are going, have left in the CommandMgr. */
void mend_commands();

}  // namespace pyd2
#endif
#endif
