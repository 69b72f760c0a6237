"""``pyd2ctl bridge``: builds the bridge to Kea, checks it, and prints the directory of the header for C."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pyd2.errors import BridgeError
from pyd2.hooks.kea import building
from pyd2.hooks.kea.bridge import REBUILD, extension, versions
from pyd2.hooks.kea.building import BUILD, PACKAGE, sources
from pyd2.hooks.kea.start import shim

if TYPE_CHECKING:
    import argparse

MODULE = "pyd2.hooks.kea_shim"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl bridge``."""
    parser.add_argument(
        "action", choices=("build", "status", "include"),
        help="build: compile it for the installed Kea; status: show what is built and check it against Kea; "
             "include: print the directory of pyd2_hook.h, for hook libraries in C that need no Kea",
    )


def run(arguments: argparse.Namespace) -> int:
    """Carry the action out; exit status 0 if the bridge exists and matches Kea."""
    if arguments.action == "include":
        print(sources() / "include")
        return 0
    return build() if arguments.action == "build" else status()


def status() -> int:
    """Print the Kea that the bridge was built for and the Kea that is installed."""
    found = importlib.util.find_spec(MODULE)
    if found is None:
        missing = building.missing()
        print("bridge:  not built, so compiled Kea hook libraries do not load")
        if missing:
            print(f"missing: {missing}\n         install that, then run {BUILD}")
        else:
            print(f"         nothing is missing here to build it: run {BUILD}")
        return 1
    print(f"bridge:  {found.origin}")
    try:
        built, present = versions(extension())
        print(f"built:   for Kea {built}")
        print(f"loaded:  Kea {present or 'of unknown version'}")
        if present not in {"", built}:
            print(f"         they do not match, so compiled Kea hook libraries do not load\n"
                  f"         install the headers of Kea {present}, then {REBUILD}")
            return 1
        shim()
    except BridgeError as error:
        print(f"         {error}")
        return 1
    print("         they match: compiled Kea hook libraries load")
    return 0


def build() -> int:
    """Compile the bridge and put it into the package."""
    missing = building.missing()
    package = PACKAGE / "hooks"
    if missing:
        print(f"pyd2ctl: missing {missing}", file=sys.stderr)
        return 1
    if not os.access(package, os.W_OK):
        print(f"pyd2ctl: {package} is not writable: run this as the user who installed pyd2",
              file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="pyd2-bridge-") as directory:
        try:
            made = Path(building.builder().make().compile(tmpdir=directory))
        except Exception as error:  # of many kinds: cffi's, setuptools's, the system's
            print(f"pyd2ctl: the bridge does not compile: {error}", file=sys.stderr)
            return 1
        # In one step: a daemon that runs keeps the file it has mapped.
        new = package / f".{made.name}"
        shutil.copyfile(made, new)
        new.chmod(0o755)
        new.replace(package / made.name)
    # In a new process, which loads the new file.
    return subprocess.run([sys.executable, "-m", "pyd2.tools", "bridge", "status"], check=False).returncode
