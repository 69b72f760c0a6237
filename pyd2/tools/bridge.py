"""``pyd2ctl bridge``: build the bridge to Kea, and tell whether it fits."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pyd2.errors import BridgeError
from pyd2.hooks.kea_bridge import built_for, shim, version_in

if TYPE_CHECKING:
    import argparse
    from types import ModuleType

MODULE = "pyd2.hooks.kea_shim"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl bridge``."""
    parser.add_argument(
        "action", choices=("build", "status"),
        help="build: compile it for the installed Kea; status: tell what is built and whether it fits",
    )
    parser.add_argument(
        "--sources", type=Path, default=Path(__file__).parents[2] / "cbridge", metavar="DIRECTORY",
        help="cbridge of pyd2's sources (default: beside the package)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Carry the action out; exit status 0 when the bridge is there and fits."""
    if arguments.action == "build":
        return build(arguments.sources)
    return status()


def status() -> int:
    """Print what the bridge was built for and what is loaded now."""
    found = importlib.util.find_spec(MODULE)
    if found is None:
        print("bridge:  not built (pyd2ctl bridge build builds it)")
        return 1
    print(f"bridge:  {found.origin}")
    try:
        bridge = shim()
    except BridgeError as error:
        print(f"         {error}")
        return 1
    built = built_for(bridge.lib.kb_hooks_version())
    print(f"built:   for Kea {built}, hooks version {bridge.lib.kb_hooks_version()}")
    print(f"loaded:  Kea {version_in(bridge.text(bridge.lib.kb_runs_with()))}")
    print("         they match: compiled Kea hook libraries load")
    return 0


def build(sources: Path) -> int:
    """Compile the bridge and put it into the package."""
    builder = _builder(sources)
    if builder is None:
        where = "name the directory cbridge of pyd2's sources with --sources"
        print(f"pyd2ctl: there is no build_kea.py in {sources}: {where}", file=sys.stderr)
        return 1
    missing = builder.missing()
    if missing:
        print(f"pyd2ctl: missing {missing}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="pyd2-bridge-") as directory:
        made = Path(builder.make().compile(tmpdir=directory))
        package = Path(__file__).parents[1] / "hooks"
        # In one step: a daemon that runs keeps the file it has mapped.
        new = package / f".{made.name}"
        shutil.copyfile(made, new)
        new.chmod(0o755)
        new.replace(package / made.name)
    # In a process of its own: what it says is of the new file.
    return subprocess.run([sys.executable, "-m", "pyd2.tools", "bridge", "status"], check=False).returncode


def _builder(sources: Path) -> ModuleType | None:
    spec = importlib.util.spec_from_file_location("build_kea", sources / "build_kea.py")
    if spec is None or spec.loader is None or not (sources / "build_kea.py").is_file():
        return None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
