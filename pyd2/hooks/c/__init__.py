"""Hook libraries in C, or in what can be called from C, without Kea: cbridge/include/pyd2_hook.h."""
