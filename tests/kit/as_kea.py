"""The installed pyd2 as another Kea than the machine's: it reads its release from a file of the tests."""

from pathlib import Path


def as_kea(pyd2: str, release: str, directory: Path) -> str:
    """Return the path of a program that is the installed command ``pyd2`` with this line in its kea-version.

    The program and the file are made in ``directory``. It differs from the command by the name of that file.
    """
    version_file = directory / f"kea-version-{release}"
    version_file.write_text(f"{release}\n")
    interpreter = Path(pyd2).read_text().splitlines()[0]
    assert interpreter.startswith("#!"), f"{pyd2} is no script"
    program = directory / f"pyd2-{release}"
    call = f"main(version_file={str(version_file)!r})"
    program.write_text(f"{interpreter}\nimport sys\nfrom pyd2.cli import main\nsys.exit({call})\n")
    program.chmod(0o755)
    return str(program)
