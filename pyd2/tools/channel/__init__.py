"""Control channels from a client's side: octets of a command in, octets of the answer out, or its values."""

from typing import Final

USUAL_SOCKET: Final = "/run/kea/kea-ddns-ctrl-socket"
"""That of Kea's example configuration."""
LONGEST: Final = 1 << 28
"""Octets of an answer. A page of 1000 leases has half a million."""
