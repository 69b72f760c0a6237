"""Take DNS servers out of service for a while, with a command of the control channel.

    { "command": "maintenance-set", "arguments": { "servers": [ "192.0.2.1" ] } }
    { "command": "maintenance-get" }

Servers in maintenance are skipped: the next server of the domain is tried. The list is empty at first and
after each reconfiguration, unless the parameter ``servers`` fills it.
"""

from ipaddress import ip_address

from pyd2.hooks import VERSION, CalloutHandle, LibraryHandle, Status

in_maintenance: set[str] = set()


def version() -> int:
    """Say for which version of the hooks this library was written."""
    return VERSION


def load(handle: LibraryHandle) -> None:
    """Register the commands."""
    in_maintenance.update(str(ip_address(text)) for text in handle.get_parameter("servers", []))
    handle.register_command("maintenance-set", maintenance_set)
    handle.register_command("maintenance-get", maintenance_get)


def maintenance_set(handle: CalloutHandle) -> None:
    """Replace the list by the one of the command's arguments."""
    try:
        wanted = {str(ip_address(text)) for text in handle.get_argument("command")["arguments"]["servers"]}
    except (KeyError, TypeError, ValueError) as error:
        text = f"'servers' must be a list of addresses: {error}"
        handle.set_argument("response", {"result": 1, "text": text})
        return
    in_maintenance.clear()
    in_maintenance.update(wanted)
    handle.set_argument("response", {"result": 0, "text": f"{len(wanted)} servers are in maintenance."})


def maintenance_get(handle: CalloutHandle) -> None:
    """Answer with the list."""
    handle.set_argument("response", {"result": 0, "arguments": {"servers": sorted(in_maintenance)}})


def select_key(handle: CalloutHandle) -> None:
    """Skip a server in maintenance."""
    if str(handle.get_argument("current_server").address) in in_maintenance:
        handle.status = Status.SKIP
