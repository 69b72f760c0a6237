"""Brings axe-core, which finds faults of accessibility, for the tests of the web page.

It is one file of JavaScript. Its own registry needs npm, which is large; pip gets it from a package that
holds it, of a fixed version and with its hash.
"""

from __future__ import annotations

import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from devtools import DevError

PACKAGE: Final = "axe-playwright-python==0.1.8"
"""Holds axe-core 4.12.1."""
HASH: Final = "sha256:fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8"
NAME: Final = "axe.min.js"
MINUTES: Final = 3
"""The longest that pip may take."""


def bring(python: Path, folder: Path) -> None:
    """Put the file into a folder, unless it is there. Raises DevError, with the reason in one line."""
    target = folder / NAME
    if target.is_file():
        return
    print(f"dev: bringing axe-core into {folder.name}/")
    with tempfile.TemporaryDirectory() as place:
        wanted = Path(place, "requirements.txt")
        wanted.write_text(f"{PACKAGE} --hash={HASH}\n")
        command: list[str | Path] = [
            python,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--require-hashes",
            "--requirement",
            wanted,
            "--dest",
            place,
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60 * MINUTES)
        except subprocess.TimeoutExpired:
            raise DevError(f"pip does not bring axe-core within {MINUTES} minutes") from None
        if done.returncode != 0:
            raise DevError(f"pip does not bring axe-core: {done.stderr.strip().splitlines()[-1]}")
        (package,) = Path(place).glob("*.whl")
        with zipfile.ZipFile(package) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith(f"/{NAME}"))
            content = archive.read(name)
    folder.mkdir(exist_ok=True)
    target.write_bytes(content)
