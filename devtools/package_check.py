"""./dev package --check: builds the Debian packages in a new minimal Debian 13, and tries them in others.

One has Kea 2.6 before, one Kea 3.0 of the backports, one none. try_package.sh has what is done in each.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devtools import DevError, fresh
from devtools.machine import mirror

if TYPE_CHECKING:
    from devtools.package import Plan

PROGRAMS: Final = fresh.PROGRAMS
SUITE: Final = "trixie"
SCENARIOS: Final = ("none", "2.6", "3.0")
"""The Kea that is installed before: none, that of the suite, that of its backports."""
BUILD: Final = """
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends build-essential lintian
cd /root/pyd2
apt-get build-dep --yes --no-install-recommends ./
dpkg-buildpackage --no-sign
lintian --fail-on error --allow-root ../pyd2_*.changes
cd ..
echo made $(ls *.deb)
"""
SCRIPT: Final = Path(__file__).with_name("try_package.sh")


def build(checkout: Path, asked: Plan) -> Path:
    """Build the packages in a new system; return the folder that they are in. DevError ends it."""
    folder = fresh.cache_folder() / "packages"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    steps = _steps("build")
    with fresh.new_system(steps, SUITE, asked.mirror) as root:
        fresh.clone(steps, checkout, root, fresh.environment())
        script = fresh.inside(root, BUILD)
        steps.carry_out("package", "the packages, and lintian", script, fresh.environment())
        for made in (root / "root").glob("*.deb"):
            shutil.copy(made, folder)
    return folder


def check(scenario: str, folder: Path, asked: Plan) -> str:
    """Try the packages in a new system; return its last line. DevError ends it."""
    steps = _steps(f"Kea {scenario}")
    with fresh.new_system(steps, SUITE, asked.mirror) as root:
        packages = root / "root/packages"
        shutil.copytree(folder, packages)
        shutil.copy(SCRIPT, packages)
        if scenario == "3.0":
            address = asked.mirror or mirror() or "http://deb.debian.org/debian"
            source = root / "etc/apt/sources.list.d/backports.list"
            source.write_text(f"deb {address} {SUITE}-backports main\n")
        script = fresh.inside(root, f"sh /root/packages/{SCRIPT.name} {scenario}")
        return steps.carry_out("package", "install, run, upgrade, remove, purge", script, fresh.environment())


def _steps(name: str) -> fresh.Steps:
    log = fresh.cache_folder() / f"package-{name.replace(' ', '-').lower()}.log"
    log.unlink(missing_ok=True)
    return fresh.Steps(name, log, "package")


def carry_out(checkout: Path, asked: Plan) -> int:
    """Build the packages and try them; return 0 if all passed."""
    fresh.end_on_signals()
    fresh.check_root()
    fresh.check_namespaces()
    passed = []
    failed = False
    with fresh.alone():
        folder = build(checkout, asked)
        for scenario in asked.scenarios:
            try:
                passed.append(f"Kea {scenario}: {check(scenario, folder, asked)}")
            except DevError as error:
                print(f"package: {error}", flush=True)
                failed = True
    for line in passed:
        print(f"package: passed: {line}")
    print("package: FAILED" if failed else "package: all passed")
    return 1 if failed else 0
