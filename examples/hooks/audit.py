"""Write down each selection of a server: when, which server, which key, and what the libraries decided.

    "hooks-libraries": [
        ...
        { "library": "audit.py", "parameters": { "file": "/var/log/kea/audit.log" } }
    ]

Put it last: it sees what the libraries before it decided.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from pyd2.hooks import VERSION, CalloutHandle, HookError, LibraryHandle

files: list[TextIO] = []


def version() -> int:
    """Say for which version of the hooks this library was written."""
    return VERSION


def load(handle: LibraryHandle) -> None:
    """Open the file; a file that cannot be opened refuses the configuration."""
    path = handle.get_parameter("file")
    if path is None:
        raise HookError("the parameter file is missing")
    try:
        # Line by line: a line is on its way to the disk before the update leaves.
        files.append(Path(path).open("a", encoding="utf-8", buffering=1))  # noqa: SIM115  unload closes it
    except OSError as error:
        raise HookError(f"cannot open {path}: {error.strerror}") from error
    handle.log.info(f"selections are written to {path}")  # noqa: G004  the library's log takes a text


def unload() -> None:
    """Close the file."""
    while files:
        files.pop().close()


def select_key(handle: CalloutHandle) -> None:
    """Write the line."""
    server = handle.get_argument("current_server")
    key = handle.get_argument("tsig_key")
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    signed = "unsigned" if key is None else key.name
    files[0].write(f"{now} {server.address}#{server.port} {signed} {handle.status.name}\n")
