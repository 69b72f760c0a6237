"""The thin shell of sockets around the engine and the control channel."""
