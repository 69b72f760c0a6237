"""The version has one place, and what is made of the project carries it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path
from typing import TYPE_CHECKING

from devtools import package
from pyd2 import __version__, report
from pyd2.profiles.release import DEFAULT

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]


def test_the_metadata_take_it_from_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "pyd2.__version__"}
    assert version("pyd2") == __version__ == package.version(ROOT)


def test_a_distribution_may_have_a_dependency_in_another_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's package of what compiled modules need of cffi has no metadata of cffi."""
    def without_cffi(name: str) -> str:
        if name == "cffi":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("importlib.metadata.version", without_cffi)
    listed = report.version_report.__wrapped__(DEFAULT)
    assert "- h11 " in listed
    assert "cffi" not in listed


def test_the_changelogs_begin_with_it() -> None:
    changes = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert __version__ in changes[:2]
    assert (ROOT / "debian" / "changelog").read_text().startswith(f"pyd2 ({__version__}) ")


def test_the_debian_package_depends_on_what_the_metadata_names() -> None:
    """dh_python3 fills in the dependencies; for building they are listed by hand."""
    control = (ROOT / "debian" / "control").read_text()
    names = {re.split(r"[^\w-]", line)[0] for line in metadata("pyd2").get_all("Requires-Dist") or ()
             if ";" not in line}
    assert names == {"cffi", "dnspython", "h11", "orjson", "uvloop"}
    assert {name for name in names if f" python3-{name},\n" not in control} == set()


def test_the_compiled_modules_need_the_c_library_only() -> None:
    """A wheel with them then works on every system, and brings no second OpenSSL. The bridge is in none."""
    folder = Path(sys.modules["pyd2"].__file__ or "").parent
    modules = [path for path in folder.rglob("*.so") if not path.name.startswith("kea_shim")]
    assert len(modules) >= 3
    for module in modules:
        listed = subprocess.run(["objdump", "-p", module], capture_output=True, text=True, check=True).stdout
        needed = re.findall(r"^\s*NEEDED\s+(\S+)", listed, re.MULTILINE)
        allowed = re.compile(r"lib(c|dl|pthread)\.so|ld-linux|libpython3")
        assert [name for name in needed if not allowed.match(name)] == [], module
