"""What the configuration reads from the file system."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from pyd2.config.lexer import MAX_FILE_SIZE
from pyd2.errors import ConfigError

_FIRST_WORD = re.compile(rb"[^ \t-\r]+")


def read_config_file(path: str) -> bytes:
    """Return a file's bytes, at most one more than the limit; raises OSError, ValueError for a NUL."""
    with Path(path).open("rb") as file:
        return file.read(MAX_FILE_SIZE + 1)


def read_secret_file(path: str) -> str:
    """Return the first word of a TSIG secret's file; raises ConfigError with Kea's reason."""
    # As a C string, the path ends at its first NUL.
    name = path.partition("\0")[0]
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116  Path("") would be the working directory
    except OSError:
        raise ConfigError(f"Expected a file at path '{path}'") from None
    if not stat.S_ISREG(mode):
        raise ConfigError(f"Expected '{path}' to be a regular file")
    try:
        with Path(name).open("rb") as file:
            content = file.read(MAX_FILE_SIZE)
    except OSError:
        raise ConfigError(f"Cannot open '{path}") from None
    word = _FIRST_WORD.search(content)
    if word is None:
        raise ConfigError(f"Expected '{path}' to not be empty")
    return word.group().decode("utf-8", "surrogateescape")
