"""When a request gets its turn."""
