/* What the hook libraries of the tests begin with. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pyd2_hook.h"

#define T(string) pyd2_hook_string(string)
#define TEXT_ARGUMENTS(text) (int)(text).length, (text).data
#define UNUSED __attribute__((unused))

PYD2_HOOK_DEFINE_VERSION

static const pyd2_hook_api *api;
static pyd2_hook_library *self;

/* The test's own: runs in pyd2_hook_load. */
static int start(void);

int pyd2_hook_load(const pyd2_hook_api *table, pyd2_hook_library *library, void **state)
{
    (void)state;
    if (!pyd2_hook_fits(table))
        return 99;
    api = table;
    self = library;
    return start();
}

/* Write a line into the log, for the test to see. */
UNUSED static void say(const char *format, ...)
{
    char line[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    api->log(self, PYD2_HOOK_INFO, T(line));
}

/* Write the outcome of a call: its code, and the text of an error. */
UNUSED static void outcome(const char *what, int code)
{
    say("%s %d %s", what, code, code == PYD2_HOOK_OK ? "" : api->last_error());
}

/* Return the parameter of a name as an integer, 0 if there is none. */
UNUSED static int64_t parameter(const char *name)
{
    char pointer[64];
    const pyd2_hook_json *parameters;
    int64_t number = 0;
    snprintf(pointer, sizeof pointer, "/%s", name);
    api->parameters(self, &parameters);
    api->json_integer(parameters, T(pointer), &number);
    return number;
}

/* Return the address of the test's own counters, which it passes as the parameter "counters". */
UNUSED static int *counters(void)
{
    return (int *)(intptr_t)parameter("counters");
}
