"""What a queue's folder holds, as the product's own ``pyd2ctl queue export`` tells it.

It gets a copy, so that looking changes nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyd2.tools import queue as queue_tool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PARSER: Final = argparse.ArgumentParser()
queue_tool.add_arguments(_PARSER)

HEADER: Final = b"SQLite format 3\0"
SUFFIXES: Final = ("-wal", "-shm", "-journal")


class Contents(NamedTuple):
    """Requests as their fields, by the test's own number."""

    waiting: dict[int, dict[str, Any]]
    dead: dict[int, dict[str, Any]]
    complaint: str
    """What the tool said on its standard error."""


def export(path: Path, *, dead: bool) -> tuple[list[dict[str, Any]], str]:
    """Return what ``pyd2ctl queue export`` prints, and its errors."""
    octets = io.BytesIO()
    errors = io.StringIO()
    output, error_output = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = io.TextIOWrapper(octets), errors
    try:
        queue_tool.run(_PARSER.parse_args(["export", str(path), *(["--dead"] if dead else [])]))
        sys.stdout.flush()
        text = octets.getvalue()
    finally:
        sys.stdout, sys.stderr = output, error_output
    return [json.loads(line) for line in text.splitlines()], errors.getvalue()


def read(path: Path, *, dead: bool = True) -> Contents:
    """Read a queue's directory, or a file or folder that was set aside. What is not there is empty.

    ``dead``: with the dead letters.
    """
    with tempfile.TemporaryDirectory(prefix="look-", dir=_scratch(path)) as scratch:
        copy = Path(scratch, path.name)
        try:
            if path.is_dir():
                shutil.copytree(path, copy, symlinks=True)
            else:
                for suffix in ("", *SUFFIXES):
                    with contextlib.suppress(FileNotFoundError):
                        shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
        except (OSError, shutil.Error) as error:
            return Contents({}, {}, f"it changes meanwhile: {error}")
        waiting, complaint = export(copy, dead=False)
        dead_letters, more = export(copy, dead=True) if dead else ([], "")
    return Contents(_by_number(waiting), _by_number(dead_letters), complaint + more)


def _by_number(requests: Iterable[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {fields["lease-length"]: fields for fields in requests}


def _scratch(path: Path) -> Path | None:
    """Return the directory for copies: that of the test, which is the one above all queues of a world."""
    for parent in path.parents:
        if (parent / "look-here").is_dir():
            return parent / "look-here"
    return None


def files(directory: Path) -> list[Path]:
    """Return what is below a directory, but for folders; a daemon may remove some of it meanwhile."""
    return sorted(Path(folder, name) for folder, _, names in os.walk(directory) for name in names)


def databases(directory: Path, *, aside: bool = False) -> Iterator[Path]:
    """Return the SQLite files below a directory; without what was set aside."""
    for path in files(directory):
        if ("aside" in str(path.relative_to(directory))) is aside and path.is_file():
            with contextlib.suppress(OSError), path.open("rb") as file:
                if file.read(len(HEADER)) == HEADER:
                    yield path


def everything(directory: Path) -> dict[Path, set[int]]:
    """Return which requests lie where below a directory, waiting or dead; to explain a violation."""
    found = {}
    for path in files(directory):
        if path.is_file() and not path.name.endswith(SUFFIXES):
            with contextlib.suppress(OSError), path.open("rb") as file:
                if file.read(len(HEADER)) == HEADER:
                    contents = read(path)
                    found[path] = contents.waiting.keys() | contents.dead.keys()
    return found
