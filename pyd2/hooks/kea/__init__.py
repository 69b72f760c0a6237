"""Hook libraries that were compiled for Kea: they run in the installed Kea's own libraries (cbridge/kea)."""
