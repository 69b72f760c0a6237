/*
 * The running callouts, and the functions that they call for each update: on status, server and key. C answers these
 * where it can. The other functions (table.c) call Python.
 */
#ifndef PYD2_CALLOUTS_H
#define PYD2_CALLOUTS_H

#include "pyd2_hook.h"

/* Each is the function of its name in pyd2_hook.h. */
int pyd2_callout_status(const pyd2_hook_callout *callout, int *status);
int pyd2_callout_set_status(pyd2_hook_callout *callout, int status);
int pyd2_callout_tsig_key(const pyd2_hook_callout *callout, const pyd2_hook_key **key);
int pyd2_callout_set_tsig_key(pyd2_hook_callout *callout, const pyd2_hook_key *key);
int pyd2_callout_current_server(const pyd2_hook_callout *callout, const pyd2_hook_server **server);
int pyd2_callout_server_address(const pyd2_hook_server *server, pyd2_hook_text *address);
int pyd2_callout_server_port(const pyd2_hook_server *server, uint16_t *port);
int pyd2_callout_server_key_name(const pyd2_hook_server *server, pyd2_hook_text *key_name);

#endif
