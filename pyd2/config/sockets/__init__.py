"""The control sockets of a configuration (contract, sections 2.2 and 8)."""
