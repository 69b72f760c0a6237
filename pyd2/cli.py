"""The command line, that of kea-dhcp-ddns flag for flag (contract, section 1).

The code behind a flag is imported when the flag is seen, so that ``-v`` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2 import interpreter, standard
from pyd2.profiles.installed import VERSION_FILE, Installed, VersionFileError, installed

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
    restricted: bool = True
    """Whether files must lie in the supported directories; ``-X`` lifts that."""


def main(
    arguments: Sequence[str] | None = None,
    profile: Profile | None = None,
    *,
    version_file: str = VERSION_FILE,
) -> int:
    """Run the command line (``sys.argv`` when none is given) and return the exit status.

    ``profile`` is the Kea to behave like; None: the one that ``version_file`` names, or the installed one.
    """
    standard.open_closed()
    os.umask(os.umask(_UMASK) | _UMASK)
    try:
        release, remark = installed(version_file) if profile is None else Installed(profile.release)
        wanted = parse(sys.argv[1:] if arguments is None else arguments, release)
    except VersionFileError as error:
        standard.write(standard.STDERR, f"Service failed: {error}\n")
        return 1
    except UsageError as error:
        text = f"Usage error: {error}\n" if str(error) else ""
        standard.write(standard.STDERR, f"{text}{release.usage}\n")
        return 1
    if isinstance(wanted, str):
        standard.write(standard.STDOUT, f"{wanted}\n")
        return 0
    if wanted.check_only:
        with interpreter.no_collection():
            from pyd2.launch import check

        return check(_profile(profile, release, wanted), wanted.config_file, verbose=wanted.verbose)
    # A signal during the start would end the process and leave its PID file.
    before = standard.hold_signals()
    with interpreter.no_collection():
        from pyd2.launch import run

    profile = _profile(profile, release, wanted)
    status = run(profile, wanted.config_file, verbose=wanted.verbose, remark=remark)
    if arguments is None and not _COMPILED_LIBRARIES & sys.modules.keys():
        # The interpreter takes 30 to 80 ms to end, and the server would seem to run after its last message.
        # Everything is written and closed by now. Only compiled hook libraries may still have to write
        # something when C exits: buffered output, the end of a static object.
        os._exit(status)
    if arguments is not None:
        for number, action in before.items():
            signal.signal(number, action)
    return status


def _profile(given: Profile | None, release: Release, wanted: Run) -> Profile:
    """Return the profile of a release, unless one is given, with what the command line changes in it."""
    from pyd2.profiles.known import profile_of

    profile = profile_of(release) if given is None else given
    return profile if wanted.restricted else profile.unrestricted()


def parse(arguments: Sequence[str], release: Release) -> Run | str:
    """Read the arguments from left to right.

    Return what to run, or the text that ``-v``, ``-V`` or ``-W`` asks for, which ends the reading at once.
    Raises UsageError.
    """
    if not arguments:
        raise UsageError("")
    config_file, check_only, verbose, restricted = "", False, False, True
    operands: list[str] = []
    for option, value in _options(arguments, release.flags, operands):
        match option:
            case "d":
                verbose = True
            case "X":
                restricted = False
            case "v" | "V" | "W":
                return _text(option, release)
            case "c" | "t":
                config_file = value
                check_only = check_only or option == "t"
    if operands:
        raise UsageError("extraneous command line information")
    return Run(config_file, check_only, verbose, restricted)


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
