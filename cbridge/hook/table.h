/* The table of functions that libraries are given: pyd2_hook.h. */
#ifndef PYD2_TABLE_H
#define PYD2_TABLE_H

#include "pyd2_hook.h"

extern const pyd2_hook_api pyd2_glue_table;

#endif
