"""Skip the DNS servers that the parameter ``servers`` lists; the domain's next server is tried."""

from pyd2.hooks import VERSION, CalloutHandle, HookError, LibraryHandle, Status

avoided: set[str] = set()


def version() -> int:
    """Say for which version of the hooks this library was written."""
    return VERSION


def load(handle: LibraryHandle) -> None:
    """Read the parameters; without them the configuration is refused."""
    servers = handle.get_parameter("servers")
    if servers is None:
        raise HookError("the parameter servers is missing")
    avoided.update(servers)


def select_key(handle: CalloutHandle) -> None:
    """Decide on one server, for one update."""
    if str(handle.get_argument("current_server").address) in avoided:
        handle.status = Status.SKIP
