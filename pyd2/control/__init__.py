"""The control channel without its sockets: framing, requests, the registry of commands, the commands."""
