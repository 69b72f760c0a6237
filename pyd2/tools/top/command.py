"""``pyd2ctl top``: the command line, and the terminal."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

from pyd2.tools.channel.daemon import Channel, ChannelError, add_channel_options
from pyd2.tools.top.reading import read
from pyd2.tools.top.view import Size, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.tools.top.reading import Reading

# ANSI: another screen and back, to its beginning, clear the rest of the line, and all below.
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_LINE_END: Final = "\x1b[K\n"
_BELOW: Final = "\x1b[J"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl top``."""
    add_channel_options(parser)
    parser.add_argument(
        "--every", type=_seconds, default=2.0, metavar="SECONDS", help="how often to ask (default: 2)"
    )
    parser.add_argument(
        "--count", type=int, default=0, metavar="N", help="end after N times (default: never)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show the state until it is interrupted; exit status 1 if the daemon gives no answer the first time."""
    screen = sys.stdout.isatty()
    with contextlib.suppress(KeyboardInterrupt):
        try:
            channel = Channel(arguments)
            before = read(channel, time.monotonic(), arguments.every + 10)
        except ChannelError as error:
            print(f"pyd2ctl top: {error}", file=sys.stderr)
            return 1
        with _screen() if screen else contextlib.nullcontext():
            _show(channel, arguments, before, screen=screen)
    return 0


def _show(channel: Channel, arguments: argparse.Namespace, now: Reading, *, screen: bool) -> None:
    before: Reading | None = None
    shown, fault = 0, ""
    while True:
        old = f"{fault}; what follows was so {time.monotonic() - now.at:.0f} s ago" if fault else ""
        text = lines(now, before, str(channel), old, _size() if screen else None)
        if screen:
            sys.stdout.write(f"{_HOME}{''.join(f'{line}{_LINE_END}' for line in text)}{_BELOW}")
        else:
            print(*text, "", sep="\n")
        sys.stdout.flush()
        shown += 1
        if shown == arguments.count:
            return
        time.sleep(arguments.every)
        try:
            now, before, fault = read(channel, time.monotonic(), arguments.every + 10), now, ""
        except ChannelError as error:
            fault = str(error)


def _size() -> Size:
    columns, rows = shutil.get_terminal_size()
    return Size(columns, max(1, rows - 1))  # each line ends with a newline


@contextlib.contextmanager
def _screen() -> Iterator[None]:
    """Use a screen of its own while the context lasts, also if the program is asked to end."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.stdout.write(_ENTER)
    try:
        yield
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, before)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"not from 0.1 to 3600: {text}")
    return seconds
