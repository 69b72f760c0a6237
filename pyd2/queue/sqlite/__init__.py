"""The durable queue's store in SQLite: its files, and the thread that reads and writes them."""
