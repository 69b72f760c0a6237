"""Compiles the launcher for this Python, as debian/rules does for Debian's, and runs it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "contrib" / "launcher" / "kea-dhcp-ddns.c"
NAME = "kea-dhcp-ddns"


def compile_launcher(directory: Path) -> Path:
    """Return the program, below ``usr/libexec`` in a directory, as it is installed. Warnings are errors."""
    program = directory / "usr" / "libexec" / NAME
    program.parent.mkdir(parents=True)
    folders = [sysconfig.get_config_var(name) for name in ("LIBDIR", "LIBPL")]
    names = ("LIBS", "SYSLIBS", "LINKFORSHARED")
    libraries = " ".join(sysconfig.get_config_var(name) or "" for name in names)
    command = [
        "cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", f'-DPYD2_PYTHON="{sys.executable}"',
        f"-I{sysconfig.get_path('include')}", str(SOURCE), *(f"-L{folder}" for folder in folders),
        f"-Wl,-rpath,{folders[0]}", f"-lpython{sysconfig.get_config_var('LDVERSION')}", *libraries.split(),
        "-o", str(program),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


@contextlib.contextmanager
def running(program: Path | str, **variables: str) -> Iterator[D2]:
    """Give a daemon of this program that answers commands."""
    with PortLease() as lease, private_directory() as directory:
        (directory / "d2.json").write_text(json.dumps(config(lease.take())))
        with D2(str(program), directory, env=variables) as d2:
            d2.wait_for_commands()
            yield d2
