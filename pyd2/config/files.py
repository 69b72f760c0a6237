"""What the configuration reads from the file system."""

from __future__ import annotations

import os
import re
import stat

from pyd2.config.lexer import MAX_FILE_SIZE
from pyd2.errors import ConfigError
from pyd2.regular import UnfitFileError, read_any, read_regular

_FIRST_WORD = re.compile(rb"[^ \t-\r]+")


def read_config_file(path: str) -> bytes:
    """Return a file's bytes, at most one more than the limit; raises OSError, ValueError for a NUL.

    Only a regular file is read: whoever asks is a running daemon, which must not wait for a pipe's writer.
    """
    return read_regular(path, MAX_FILE_SIZE + 1)


def read_first_config_file(path: str) -> bytes:
    """Do the same at the start of a program, where a pipe is good, too, as in ``-t <(program)``."""
    return read_any(path, MAX_FILE_SIZE + 1)


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
        content = read_regular(name, MAX_FILE_SIZE)
    except UnfitFileError:
        raise ConfigError(f"Expected '{path}' to be a regular file") from None
    except OSError:
        raise ConfigError(f"Cannot open '{path}") from None
    word = _FIRST_WORD.search(content)
    if word is None:
        raise ConfigError(f"Expected '{path}' to not be empty")
    return word.group().decode("utf-8", "surrogateescape")
