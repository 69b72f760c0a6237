/*
 * The functions of the table that are written in Python (pyd2/hooks/c/api.py). Each implements the function of its
 * name in pyd2_hook.h, for arguments that C has checked, and returns the same codes.
 */
#ifndef PYD2_UPWARD_H
#define PYD2_UPWARD_H

#include "pyd2_hook.h"

/* cffi reads the rest of this file, to its last line. */

int pyd2_py_register_callout(uintptr_t library, const char *hook, size_t length, void *function, void *user);
int pyd2_py_register_command(uintptr_t library, const char *command, size_t length, void *function, void *user);
int pyd2_py_parameters(uintptr_t library, uintptr_t *json);
int pyd2_py_library_name(uintptr_t library, pyd2_hook_text *name);
int pyd2_py_library_index(uintptr_t library, uint32_t *index);
int pyd2_py_log(uintptr_t library, int severity, const char *text, size_t length);

int pyd2_py_json_type(uintptr_t json, const char *pointer, size_t length, int *type);
int pyd2_py_json_text(uintptr_t json, const char *pointer, size_t length, pyd2_hook_text *text);
int pyd2_py_json_integer(uintptr_t json, const char *pointer, size_t length, int64_t *number);
int pyd2_py_json_real(uintptr_t json, const char *pointer, size_t length, double *number);
int pyd2_py_json_boolean(uintptr_t json, const char *pointer, size_t length, int *flag);
int pyd2_py_json_count(uintptr_t json, const char *pointer, size_t length, size_t *count);
int pyd2_py_json_name(uintptr_t json, const char *pointer, size_t length, size_t index, pyd2_hook_text *name);
int pyd2_py_json_print(uintptr_t json, const char *pointer, size_t length, pyd2_hook_text *text);
int pyd2_py_json_quote(const char *text, size_t length, pyd2_hook_text *quoted);

int pyd2_py_hook_name(uintptr_t callout, pyd2_hook_text *name);
int pyd2_py_argument_json(uintptr_t callout, const char *name, size_t length, uintptr_t *json);
int pyd2_py_argument_text(uintptr_t callout, const char *name, size_t length, pyd2_hook_text *text);
int pyd2_py_set_argument_json(uintptr_t callout, const char *name, size_t length, const char *json,
                              size_t json_length);
int pyd2_py_set_argument_text(uintptr_t callout, const char *name, size_t length, const char *text,
                              size_t text_length);
int pyd2_py_tsig_key(uintptr_t callout, uintptr_t *key);
int pyd2_py_set_tsig_key(uintptr_t callout, uintptr_t key);
int pyd2_py_set_context(uintptr_t callout, const char *name, size_t length, void *value, void *destroy);
int pyd2_py_context(uintptr_t callout, const char *name, size_t length, void **value);
int pyd2_py_delete_context(uintptr_t callout, const char *name, size_t length);

int pyd2_py_key_new(uintptr_t library, const char *name, size_t name_length, const char *algorithm,
                    size_t algorithm_length, const char *secret, size_t secret_length, uint32_t digest_bits,
                    uintptr_t *key);
int pyd2_py_signer_new(uintptr_t library, const char *name, size_t name_length, const char *algorithm,
                       size_t algorithm_length, const pyd2_hook_signer *signer, void *user, uintptr_t *key);
int pyd2_py_key_name(uintptr_t key, pyd2_hook_text *name);
int pyd2_py_key_algorithm(uintptr_t key, pyd2_hook_text *algorithm);
int pyd2_py_key_release(uintptr_t library, uintptr_t key);

int pyd2_py_timer_start(uintptr_t library, uint32_t delay, uint32_t period, void *function, void *user,
                        uintptr_t *timer);
int pyd2_py_timer_cancel(uintptr_t library, uintptr_t timer);

#endif
