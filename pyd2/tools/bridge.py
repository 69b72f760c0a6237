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
from pyd2.hooks.kea import bridge, building
from pyd2.hooks.kea.building import BUILD, PACKAGE, release_of, sources
from pyd2.hooks.kea.start import shim
from pyd2.tools.progress import Progress

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl bridge``."""
    parser.add_argument(
        "action", choices=("build", "status", "include"),
        help="build: compile it for one Kea; status: show what is built and check it against Kea; "
             "include: print the directory of pyd2_hook.h, for hook libraries in C that need no Kea",
    )
    parser.add_argument(
        "--kea", metavar="DIR|RELEASE", default="", dest="which_kea",
        help="build: the Kea that was installed to DIR, or the installed one of that release, such as 3.0.3 "
             "(default: the one whose headers are here); status: only the bridge to that release",
    )


def run(arguments: argparse.Namespace) -> int:
    """Carry the action out; exit status 0 if the bridge exists and matches Kea."""
    which: str = arguments.which_kea
    if arguments.action == "include":
        print(sources() / "include")
        return 0
    return build(which) if arguments.action == "build" else status(which)


def status(which: str = "") -> int:
    """Print the Kea that each bridge was built for, and the Kea that it finds."""
    wanted = f"{which}." if which else ""
    built = [version for version in bridge.built() if f"{release_of(version)}.".startswith(wanted)]
    if not built:
        missing = building.missing(which)
        of_which = f" for Kea {which}" if which else ""
        command = f"{BUILD} --kea {which}" if which else BUILD
        print(f"bridge:  not built{of_which}, so compiled Kea hook libraries do not load")
        if missing:
            print(f"missing: {missing}\n         install that, then run {command}")
        else:
            print(f"         nothing is missing here to build it: run {command}")
        return 1
    if len(built) == 1:
        return _check(built[0])
    # A process can load one Kea only.
    return max([_status_of(release_of(version)) for version in built])


def _status_of(release: str) -> int:
    """Print the status of one bridge, found out in a new process."""
    sys.stdout.flush()
    command = [sys.executable, "-m", "pyd2.tools", "bridge", "status", "--kea", release]
    return subprocess.run(command, check=False).returncode  # noqa: S603  this program itself


def _check(version: int) -> int:
    """Print the status of one bridge, which this process loads."""
    found = importlib.util.find_spec(bridge.module_of(version))
    assert found is not None
    print(f"bridge:  {found.origin}")
    try:
        built, present = bridge.versions(bridge.extension(version))
        print(f"built:   for Kea {built}")
        print(f"loaded:  Kea {present or 'of unknown version'}")
        if present not in {"", built}:
            print(f"         they do not match, so compiled Kea hook libraries do not load\n"
                  f"         install the headers of Kea {present}, then {bridge.rebuild(present)}")
            return 1
        shim(version)
    except BridgeError as error:
        print(f"         {error}")
        return 1
    print("         they match: compiled Kea hook libraries load")
    return 0


def build(which: str = "") -> int:
    """Compile the bridge to a Kea and put it into the package, beside those to other releases."""
    missing = building.missing(which)
    package = PACKAGE / "hooks"
    if missing:
        print(f"pyd2ctl: missing {missing}", file=sys.stderr)
        return 1
    if not os.access(package, os.W_OK):
        print(f"pyd2ctl: {package} is not writable: run this as the user who installed pyd2",
              file=sys.stderr)
        return 1
    builder = building.builder()
    with tempfile.TemporaryDirectory(prefix="pyd2-bridge-") as directory:
        try:
            kea = builder.find(which)
            with Progress("building the bridge"):
                made = Path(builder.make(kea).compile(tmpdir=directory))
        except Exception as error:  # of many kinds: cffi's, setuptools's, the system's
            print(f"pyd2ctl: the bridge does not compile: {error}", file=sys.stderr)
            return 1
        # In one step: a daemon that runs keeps the file it has mapped.
        new = package / f".{made.name}"
        shutil.copyfile(made, new)
        new.chmod(0o755)
        new.replace(package / made.name)
    # In a new process, which loads the new file.
    return _status_of(release_of(kea.version()))
