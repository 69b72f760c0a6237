"""The command line, that of kea-dhcp-ddns flag for flag (contract, section 1).

The code behind a flag is imported when the flag is seen, so that ``-v`` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2 import standard
from pyd2.profiles import release as releases

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyd2.profiles.profile import Profile
    from pyd2.profiles.release import Release

_UMASK: Final = 0o027
_WITH_ARGUMENT: Final = "ct"
_COMPILED_LIBRARIES: Final = frozenset({"pyd2.hooks.c_abi", "pyd2.hooks.kea.loaded"})
"""The modules that load hook libraries in C and C++."""


class UsageError(Exception):
    """The command line is wrong; the text is Kea's, empty when there was no argument at all."""


class Run(NamedTuple):
    """What to run, when the command line asks for no text."""

    config_file: str
    check_only: bool
    verbose: bool


def main(arguments: Sequence[str] | None = None, profile: Profile | None = None) -> int:
    """Run the command line (``sys.argv`` when none is given) and return the exit status.

    ``profile`` is the Kea to behave like; None: the installed one.
    """
    release = releases.installed() if profile is None else profile.release
    standard.open_closed()
    os.umask(os.umask(_UMASK) | _UMASK)
    try:
        wanted = parse(sys.argv[1:] if arguments is None else arguments, release)
    except UsageError as error:
        text = f"Usage error: {error}\n" if str(error) else ""
        standard.write(standard.STDERR, f"{text}{release.usage}\n")
        return 1
    if isinstance(wanted, str):
        standard.write(standard.STDOUT, f"{wanted}\n")
        return 0
    if wanted.check_only:
        from pyd2.daemon import check

        return check(profile or _installed_profile(), wanted.config_file, verbose=wanted.verbose)
    # A signal during the start would end the process and leave its PID file.
    before = standard.hold_signals()
    from pyd2.daemon import run

    status = run(profile or _installed_profile(), wanted.config_file, verbose=wanted.verbose)
    if arguments is None and not _COMPILED_LIBRARIES & sys.modules.keys():
        # The interpreter takes 30 to 80 ms to end, and the server would seem to run after its last message.
        # Everything is written and closed by now. Only compiled hook libraries may still have to write
        # something when C exits: buffered output, the end of a static object.
        os._exit(status)
    if arguments is not None:
        for number, action in before.items():
            signal.signal(number, action)
    return status


def _installed_profile() -> Profile:
    from pyd2.profiles.installed import PROFILE

    return PROFILE


def parse(arguments: Sequence[str], release: Release) -> Run | str:
    """Read the arguments from left to right.

    Return what to run, or the text that ``-v``, ``-V`` or ``-W`` asks for, which ends the reading at once.
    Raises UsageError.
    """
    if not arguments:
        raise UsageError("")
    config_file, check_only, verbose = "", False, False
    operands: list[str] = []
    for option, value in _options(arguments, release.flags, operands):
        match option:
            case "d":
                verbose = True
            case "v" | "V" | "W":
                return _text(option, release)
            case "c" | "t":
                config_file = value
                check_only = check_only or option == "t"
    if operands:
        raise UsageError("extraneous command line information")
    return Run(config_file, check_only, verbose)


def _text(option: str, release: Release) -> str:
    if option == "v":
        return release.version
    from pyd2 import report

    return report.version_report(release) if option == "V" else report.build_report(release)


def _options(
    arguments: Sequence[str], flags: str, operands: list[str]
) -> Iterator[tuple[str, str]]:
    """Yield each option with its argument, as getopt finds them; put all other words in ``operands``.

    Options may be joined (``-dc FILE``) and may follow operands; ``--`` ends them.
    """
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            operands += rest
            return
        if not word.startswith("-") or word == "-":
            operands.append(word)
            continue
        cluster = os.fsencode(word[1:])  # getopt reads bytes
        while cluster:
            option, cluster = os.fsdecode(cluster[:1]), cluster[1:]
            if option in flags:
                yield option, ""
            elif option in _WITH_ARGUMENT and (cluster or rest):
                yield option, os.fsdecode(cluster) if cluster else rest.pop(0)
                cluster = b""
            else:
                raise UsageError(f"unsupported option: -{option}")
