"""Choose the TSIG key by the server's address, whatever the configuration says.

    "hooks-libraries": [ {
        "library": "key_per_server.py",
        "parameters": {
            "keys": {
                "192.0.2.1": { "name": "a.", "algorithm": "HMAC-SHA256", "secret": "bm90IHZlcnkgc2VjcmV0" }
            },
            "unsigned": [ "192.0.2.9" ]
        }
    } ]

A server of ``unsigned`` gets unsigned updates. All others keep the key of the configuration.
"""

from ipaddress import ip_address

from pyd2.hooks import VERSION, CalloutHandle, HookError, LibraryHandle, TsigKey

keys: dict[bytes, TsigKey | None] = {}
"""By the octets of the address: its text may be spelt in several ways, and takes longer to make."""


def version() -> int:
    """Say for which version of the hooks this library was written."""
    return VERSION


def load(handle: LibraryHandle) -> None:
    """Make the keys once; what is wrong with the parameters refuses the configuration."""
    for address, entry in handle.get_parameter("keys", {}).items():
        missing = {"name", "algorithm", "secret"} - set(entry)
        if missing:
            raise HookError(f"the key for {address} has no {', '.join(sorted(missing))}")
        keys[ip_address(address).packed] = TsigKey(entry["name"], entry["algorithm"], entry["secret"])
    for address in handle.get_parameter("unsigned", []):
        keys[ip_address(address).packed] = None


def select_key(handle: CalloutHandle) -> None:
    """Replace the key when this server has one of its own."""
    address = handle.get_argument("current_server").address.packed
    if address in keys:
        handle.set_argument("tsig_key", keys[address])
