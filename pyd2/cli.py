"""The command line, that of kea-dhcp-ddns flag for flag (contract, section 1).

What a flag needs is imported when the flag is seen, so that ``-v`` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2 import KEA_VERSION, standard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

USAGE: Final = """\
Usage: kea-dhcp-ddns
  -v: print version number and exit
  -V: print extended version information and exit
  -W: display the configuration report and exit
  -d: optional, verbose output \n\
  -c <config file name> : mandatory, specify name of configuration file
  -t <config file name> : check the configuration file and exit
"""

_UMASK: Final = 0o027
_FLAGS: Final = "dvVW"
_WITH_ARGUMENT: Final = "ct"
_COMPILED_LIBRARIES: Final = frozenset({"pyd2.hooks.c_abi", "pyd2.hooks.kea_shim"})
"""The modules through which hook libraries in C and C++ come into the process."""


class UsageError(Exception):
    """The command line is wrong; the text is Kea's, empty when there was no argument at all."""


class Run(NamedTuple):
    """What the command line asks for, when it is not one of the texts."""

    config_file: str
    check_only: bool
    verbose: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` when none is given) and return the exit status."""
    standard.open_closed()
    os.umask(os.umask(_UMASK) | _UMASK)
    try:
        order = parse(sys.argv[1:] if arguments is None else arguments)
    except UsageError as error:
        text = f"Usage error: {error}\n" if str(error) else ""
        standard.write(standard.STDERR, f"{text}{USAGE}\n")
        return 1
    if isinstance(order, str):
        standard.write(standard.STDOUT, f"{order}\n")
        return 0
    if order.check_only:
        from pyd2.daemon import check

        return check(order.config_file, order.verbose)
    # Each of them would end a start half-way and leave its PID file.
    before = standard.hold_signals()
    from pyd2.daemon import run

    status = run(order.config_file, order.verbose)
    if arguments is None and not _COMPILED_LIBRARIES & sys.modules.keys():
        # Taking the interpreter down takes 30 to 80 ms, in which a server that has said goodbye still
        # seems to run. Everything has been written and closed; only compiled hook libraries may have
        # something left that is written at C's own exit: buffered output, a static object's end.
        os._exit(status)
    if arguments is not None:
        for number, action in before.items():
            signal.signal(number, action)
    return status


def parse(arguments: Sequence[str]) -> Run | str:
    """Read the arguments from left to right.

    Return what to run, or the text that ``-v``, ``-V`` or ``-W`` asks for, which ends the reading at once.
    Raises UsageError.
    """
    if not arguments:
        raise UsageError("")
    config_file, check_only, verbose = "", False, False
    operands: list[str] = []
    for option, value in _options(arguments, operands):
        match option:
            case "d":
                verbose = True
            case "v" | "V" | "W":
                return _text(option)
            case _:
                config_file = value
                check_only = check_only or option == "t"
    if operands:
        raise UsageError("extraneous command line information")
    return Run(config_file, check_only, verbose)


def _text(option: str) -> str:
    if option == "v":
        return KEA_VERSION
    from pyd2 import report

    return report.version_report() if option == "V" else report.build_report()


def _options(arguments: Sequence[str], operands: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each option with its argument, as getopt finds them; put what is no option in ``operands``.

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
        letters = os.fsencode(word[1:])  # getopt reads bytes
        while letters:
            option, letters = os.fsdecode(letters[:1]), letters[1:]
            if option in _FLAGS:
                yield option, ""
            elif option in _WITH_ARGUMENT and (letters or rest):
                yield option, os.fsdecode(letters) if letters else rest.pop(0)
                letters = b""
            else:
                raise UsageError(f"unsupported option: -{option}")
