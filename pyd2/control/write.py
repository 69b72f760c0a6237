"""config-write: which file it may write, and the writing (contract, section 8)."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import select
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.control.answer import error, success
from pyd2.data.element import Element
from pyd2.data.pretty import to_pretty
from pyd2.errors import CommandError
from pyd2.regular import CAREFUL

if TYPE_CHECKING:
    from io import FileIO

READER_SECONDS: Final = 1.0
"""How long the reader of a pipe may read nothing; the main thread waits meanwhile."""


def write_config(name: str, config_file: str, config: Element, command: str = "write-config") -> Element:
    """Write the configuration, without its hash, and return the answer.

    ``name`` is the file asked for; empty: ``config_file``, the one that the server was started with. A crash
    or a full disk leaves an old file of that name whole; its mode and owner stay. ``command`` is the name of
    config-write in errors.
    """
    try:
        path = allowed_path(name, config_file) if name else config_file
    except CommandError as fault:
        return error(f"not allowed to write config into {name}: {fault}")
    data = to_pretty(config).encode("utf-8", "surrogateescape")
    try:
        target = Path(os.path.realpath(path))
        file, temporary = _open(target)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return error(f"Error during {command}:Unable to open file {path} for writing")
    try:
        with file:
            _write(file.fileno(), data)
            if temporary is not None:
                os.fsync(file.fileno())
        if temporary is not None:
            _replace(target, temporary, data)
    except OSError as fault:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        return error(f"Error during {command}:Unable to write file {path}: {fault.strerror}")
    arguments = Element({"filename": Element(path), "size": Element(len(data))})
    return success(f"Configuration written to {path} successful", arguments)


def allowed_path(name: str, config_file: str) -> str:
    """Return where a file asked for by name is to go: only the configuration file's directory is allowed.

    Directories are compared as texts. Raises CommandError.
    """
    directory, base = _split(name)
    # As with Kea, what follows the last dot is no part of the file's name, so that ".json" has none.
    if not (base.rpartition(".")[0] if "." in base else base):
        raise CommandError(f"config file:{name} is missing file name")
    config_directory, _ = _split(config_file)
    if directory == config_directory:
        return name
    if not directory:
        return config_directory + name
    raise CommandError(f"file {name} must be in the same directory as the config file ({config_file})")


def _write(fd: int, data: bytes) -> None:
    """Write all data; raises OSError, also when the reader of a pipe reads nothing for READER_SECONDS."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    written = 0
    while written < len(data):
        if not poll.poll(READER_SECONDS * 1000):
            raise TimeoutError(errno.ETIMEDOUT, "its reader reads nothing")
        with contextlib.suppress(BlockingIOError):
            written += os.write(fd, data[written:])


def _open(target: Path) -> tuple[FileIO, Path | None]:
    """Open the file to write, and return its path if it is a temporary one that is to replace the target.

    The target itself is written only where it cannot be replaced: when it is a device or a pipe, when it has
    another name, when no file may be made beside it, or when its owner could not be kept. Raises OSError.
    """
    try:
        present = os.fdopen(os.open(target, os.O_WRONLY | os.O_APPEND | CAREFUL), "ab", buffering=0)
    except FileNotFoundError:
        return _create_beside(target, None)
    with contextlib.ExitStack() as closing:
        closing.enter_context(present)
        status = os.fstat(present.fileno())
        if stat.S_ISREG(status.st_mode):
            if status.st_nlink == 1:
                with contextlib.suppress(PermissionError):
                    return _create_beside(target, status)
            present.truncate(0)
        closing.pop_all()
    return present, None


def _create_beside(target: Path, like: os.stat_result | None) -> tuple[FileIO, Path]:
    """Create a file in the target's directory, with the mode and owner of ``like`` if given."""
    temporary = target.with_name(f".pyd2-{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    file = os.fdopen(os.open(temporary, flags, 0o666 if like is None else 0o600), "wb", buffering=0)
    if like is not None:
        try:
            os.fchown(file.fileno(), like.st_uid, like.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(like.st_mode))
        except OSError:
            file.close()
            temporary.unlink()
            raise
    return file, temporary


def _replace(target: Path, temporary: Path, data: bytes) -> None:
    try:
        temporary.replace(target)
    except OSError as fault:
        if fault.errno != errno.EBUSY:
            raise
        target.write_bytes(data)  # a mount point, as a single file is that a container is given
        temporary.unlink()


def _split(path: str) -> tuple[str, str]:
    """Return the directory with its final slash, empty if there is none, and the name after it."""
    directory, slash, base = path.rpartition("/")
    return directory + slash, base
