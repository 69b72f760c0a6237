"""Control channels from a client's side: octets of a command in, octets of the answer out, or its values."""
