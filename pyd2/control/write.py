"""config-write: which file it may write, and the writing (contract, section 8)."""

from __future__ import annotations

from pathlib import Path

from pyd2.control.answer import error, success
from pyd2.data.element import Element
from pyd2.data.pretty import to_pretty
from pyd2.errors import CommandError


def write_config(name: str, config_file: str, config: Element) -> Element:
    """Write the configuration, without its hash, and return the answer.

    ``name`` is the file asked for; empty: ``config_file``, the one that the server was started with.
    """
    try:
        path = allowed_path(name, config_file) if name else config_file
    except CommandError as fault:
        return error(f"not allowed to write config into {name}: {fault}")
    data = to_pretty(config).encode("utf-8", "surrogateescape")
    try:
        file = Path(path).open("wb")  # noqa: SIM115  a failure to open and one to write have different texts
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return error(f"Error during write-config:Unable to open file {path} for writing")
    try:
        with file:
            file.write(data)
    except OSError as fault:
        return error(f"Error during write-config:Unable to write file {path}: {fault.strerror}")
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


def _split(path: str) -> tuple[str, str]:
    """Return the directory with its final slash, empty if there is none, and the name after it."""
    directory, slash, base = path.rpartition("/")
    return directory + slash, base
