"""What a new system needs of this machine to reach the Debian mirror and the Python package index.

The settings go along, and the certificates and other files that they name; nothing that is installed does.
Folders that they name, such as one of wheels, do not: the new system has to do without.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

# Of the environment: proxies, what pip reads, and where certificates are.
PASSED = re.compile(r"(?:(?:https?|ftp|all|no)_proxy|PIP_\w+|SSL_CERT_(?:FILE|DIR)|REQUESTS_CA_BUNDLE)",
                    re.IGNORECASE)
# Of apt's: how it fetches. Hooks, pins and sources stay here, because they name packages installed here.
ACQUIRE = re.compile(r"Acquire::(?!IndexTargets|Changelogs|Snapshots|CompressionTypes|cdrom|Languages)"
                     r"\S+ \"[^\"]+\";")
FILE_NAME = re.compile(r"(?:^|[\s\"'=])(/[^\s\"';]+)")
APT_SETTINGS = "/etc/apt/apt.conf.d/00-of-the-machine"
LOCAL_CERTIFICATES = "/usr/local/share/ca-certificates"


def output(*command: str) -> str:
    """Return what a command prints; nothing where there is no such command or it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def passed_environment() -> dict[str, str]:
    """Return the variables that a new system gets from this one's environment; of folders none."""
    return {name: value for name, value in os.environ.items()
            if PASSED.fullmatch(name) and not (value.startswith("/") and Path(value).is_dir())}


def pip_files() -> list[tuple[Path, str]]:
    """Return the files pip reads here, each with its path in a new system, where root's home is /root."""
    home = Path.home()
    places = [(Path("/etc/pip.conf"), "/etc/pip.conf"),
              (Path("/etc/xdg/pip/pip.conf"), "/etc/xdg/pip/pip.conf"),
              (home / ".config/pip/pip.conf", "/root/.config/pip/pip.conf"),
              (home / ".pip/pip.conf", "/root/.pip/pip.conf")]
    chosen = os.environ.get("PIP_CONFIG_FILE")
    if chosen:
        places.append((Path(chosen), chosen))
    return [(here, there) for here, there in places if here.is_file()]


def apt_settings() -> str:
    """Return how apt fetches here, as the text of a file of its configuration."""
    return "".join(f"{line}\n" for line in output("apt-config", "dump", "Acquire").splitlines()
                   if ACQUIRE.fullmatch(line))


def mirror() -> str | None:
    """Return the address of the Debian mirror that apt uses here; None when it uses none."""
    wanted = "$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)"
    for line in output("apt-get", "indextargets", "--format", wanted, "Created-By: Packages").splitlines():
        origin, component, release, address = line.split("|", 3)
        base = not re.search("-(?:security|updates|backports)", release)
        if (origin, component) == ("Debian", "main") and base:
            return address
    return None


def named_files(*texts: str) -> list[Path]:
    """Return the files of this machine that settings name."""
    names = {name for text in texts for name in FILE_NAME.findall(text)}
    return [Path(name) for name in sorted(names) if Path(name).is_file()]


def give_settings(root: Path) -> None:
    """Give the system in a folder what it needs of this machine."""
    def put(here: Path, there: str) -> None:
        target = root / there.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # a link would lead out of the folder
        shutil.copy(here, target)

    apt = apt_settings()
    (root / APT_SETTINGS.lstrip("/")).write_text(apt)
    logins = [Path("/etc/apt/auth.conf"), *Path("/etc/apt/auth.conf.d").glob("*.conf")]
    copies = [(file, str(file)) for file in (Path("/etc/resolv.conf"), *logins) if file.is_file()]
    copies += pip_files()
    # Where Debian's ca-certificates looks for more than its own; it writes the bundle anew when installed.
    copies += [(file, str(file)) for file in Path(LOCAL_CERTIFICATES).rglob("*.crt")]
    named = named_files(apt, *passed_environment().values(), *(here.read_text() for here, _ in pip_files()))
    for here, there in [*copies, *((file, str(file)) for file in named)]:
        put(here, there)
