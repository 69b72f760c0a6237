"""A transaction's way: its steps, servers, keys and outcome."""
