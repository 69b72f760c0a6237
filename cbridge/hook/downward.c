/* Downwards, from Python to C: opens a library and calls its functions (glue.h). */
#define _GNU_SOURCE /* dladdr */
#include "glue.h"

#include <dlfcn.h>

#include "guard.h"
#include "table.h"

/* ---- Shared objects ---- */

void *pyd2_glue_open(const char *path, const char **reason)
{
    /* NOW: a missing symbol is found when loading. LOCAL: libraries do not see each other's symbols. */
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    *reason = object == NULL ? dlerror() : NULL;
    return object;
}

void pyd2_glue_close(void *object)
{
    dlclose(object);
}

void *pyd2_glue_symbol(void *object, const char *name)
{
    return dlsym(object, name);
}

const char *pyd2_glue_name_of(void *function)
{
    Dl_info info;
    return dladdr(function, &info) != 0 && info.dli_saddr == function ? info.dli_sname : "";
}

/* ---- Calls into a library ---- */

void pyd2_glue_requires(void *function, uint32_t *version, uint32_t *api_size)
{
    void (*requires)(uint32_t *, uint32_t *);
    AS_FUNCTION(requires, function);
    requires(version, api_size);
}

pyd2_hook_requirement pyd2_glue_version(void *function)
{
    pyd2_hook_requirement (*version)(void);
    AS_FUNCTION(version, function);
    return version();
}

int pyd2_glue_load(void *function, uintptr_t library, void **state)
{
    int (*load)(const pyd2_hook_api *, pyd2_hook_library *, void **);
    AS_FUNCTION(load, function);
    return load(&pyd2_glue_table, (pyd2_hook_library *)library, state);
}

int pyd2_glue_unload(void *function, void *state)
{
    int (*unload)(void *);
    AS_FUNCTION(unload, function);
    return unload(state);
}

void pyd2_glue_timer(void *function, uintptr_t timer, void *user)
{
    pyd2_hook_timer_function *run;
    AS_FUNCTION(run, function);
    run((pyd2_hook_timer *)timer, user);
}

void pyd2_glue_destroy(void *function, void *value)
{
    pyd2_hook_destroy_function *destroy;
    AS_FUNCTION(destroy, function);
    destroy(value);
}

int pyd2_glue_begin(const pyd2_hook_signer *signer, void *user, void **context)
{
    return signer->begin == NULL ? 0 : signer->begin(user, context);
}

int pyd2_glue_sign(const pyd2_hook_signer *signer, void *user, void *context, const char *data, size_t length,
                   char *mac, size_t *mac_length)
{
    return signer->sign(user, context, (const uint8_t *)data, length, (uint8_t *)mac, mac_length);
}

int pyd2_glue_verify(const pyd2_hook_signer *signer, void *user, void *context, const char *data,
                     size_t length, const char *mac, size_t mac_length)
{
    return signer->verify(user, context, (const uint8_t *)data, length, (const uint8_t *)mac, mac_length);
}

void pyd2_glue_end(const pyd2_hook_signer *signer, void *user, void *context)
{
    if (signer->end != NULL)
        signer->end(user, context);
}

void pyd2_glue_release(const pyd2_hook_signer *signer, void *user)
{
    if (signer->release != NULL)
        signer->release(user);
}
