"""Writes the man pages: ``python3 -m devtools.manpages DIRECTORY``.

``pyd2.8`` is contrib/man/pyd2.8. The two others come from what they describe: ``pyd2ctl.1`` from the help
texts of ``pyd2ctl``, ``pyd2_hook.h.3`` from the comments of the header. They are in man's own macros, man(7).
"""

from __future__ import annotations

import io
import os
import re
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2 import __version__
from pyd2.tools import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[1]
DAEMON: Final = ROOT / "contrib" / "man" / "pyd2.8"
HEADER: Final = ROOT / "cbridge" / "include" / "pyd2_hook.h"

_ITEM = re.compile(r" {2,4}(\S.*?)(?: {2,}(.*))?")
_ACTION = re.compile(r"    (\w[\w-]*)\b.*")
_COMMENT = r"/\*(.*?)\*/"
_MEMBER = re.compile(rf"{_COMMENT}|((?:int|const char \*)\s*\(\*\w+\)\([^)]*\);)", re.DOTALL)
_SECTION = re.compile(r"\s*---- (.*?) ----\s*(.*)", re.DOTALL)


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    return {
        "pyd2.8": DAEMON.read_text().replace("@VERSION@", __version__),
        "pyd2ctl.1": "\n".join(_tool()) + "\n",
        "pyd2_hook.h.3": "\n".join(_header(HEADER.read_text())) + "\n",
    }


def _roff(text: str) -> str:
    """Return a text as roff: nothing in it is a request or an escape."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^([.'])", r"\\&\1", escaped)


def _title(name: str, section: int, what: str) -> list[str]:
    return [f'.TH {name.upper()} {section} "" "pyd2 {__version__}"', ".SH NAME", f"{name} \\- {what}"]


# --- pyd2ctl.1 ------------------------------------------------------------------------------------


def _help(*words: str) -> str:
    """Return what ``pyd2ctl WORDS --help`` prints."""
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with redirect_stdout(io.StringIO()) as out, suppress(SystemExit):
            cli.main([*words, "--help"])
    finally:
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns
    return out.getvalue()


def _names(text: str) -> list[str]:
    """Return the commands that a help text lists."""
    return [match[1] for line in text.splitlines() if (match := _ACTION.fullmatch(line))]


def _tool() -> Iterator[str]:
    whole = _help()
    yield from _title("pyd2ctl", 1, "the operator's tools for pyd2")
    yield ".SH SYNOPSIS\n.B pyd2ctl\n.I COMMAND\n\\&..."
    yield ".SH DESCRIPTION"
    yield _roff(_description(whole))
    yield "Each command prints its options with\n.BR \\-\\-help ."
    yield ".SH COMMANDS"
    for name in _names(whole):
        text = _help(name)
        yield from _command(name, text)
        for action in _names(text):
            yield from _command(f"{name} {action}", _help(name, action))
    yield ".SH SEE ALSO\n.BR pyd2 (8),\n.I /usr/share/doc/pyd2"


def _description(text: str) -> str:
    """Return the paragraph between the usage and the lists of a help text."""
    return " ".join(text.split("\n\n", 2)[1].split())


def _command(name: str, text: str) -> Iterator[str]:
    usage = " ".join(text.split("\n\n", 1)[0].removeprefix("usage: ").split())
    yield f".SS {_roff(name)}"
    yield f".B {_roff(usage)}\n.PP\n{_roff(_description(text))}"
    term = ""
    for line in text.split("\n\n", 2)[2].splitlines():
        said = line.strip()
        if match := _ITEM.fullmatch(line):
            if term := "" if match[1].startswith(("-h,", "ACTION")) else match[1]:
                yield f".TP\n.B {_roff(term)}"
            said = match[2] or ""
        if term and said and not line.endswith(":"):
            yield _roff(said)


# --- pyd2_hook.h.3 --------------------------------------------------------------------------------


def _header(text: str) -> Iterator[str]:
    yield from _title("pyd2_hook.h", 3, "hook libraries for pyd2 in C")
    yield ".SH SYNOPSIS\n.nf\n.B #include <pyd2_hook.h>\n.fi"
    yield ".SH DESCRIPTION"
    begin = re.match(_COMMENT, text, re.DOTALL)
    assert begin is not None
    yield from _paragraphs(_plain(begin[1]).partition("\n\n")[2])
    table = text.partition("typedef struct pyd2_hook_api {")[2].partition("} pyd2_hook_api;")[0]
    yield ".SH FUNCTIONS\nThey are members of the table\n.BR pyd2_hook_api ."
    comment, fresh = "", True
    for match in _MEMBER.finditer(table):
        said = _plain(match[1]) if match[1] is not None else ""
        if section := _SECTION.fullmatch(said):
            yield f".SS {_roff(section[1])}"
            if section[2]:
                yield from _paragraphs(section[2].strip())
        elif said:
            comment, fresh = said, True
        else:
            shown = " ".join(match[2].rstrip(";").replace("(*", "", 1).replace(")(", "(", 1).split())
            yield f"{'.TP' if fresh else '.TQ'}\n.B {_roff(shown)}"
            following = table[match.end():].lstrip()
            fresh = not following.startswith(("int", "const"))
            if fresh:
                yield from _paragraphs(comment, indent=True)
    yield ".SH SEE ALSO\n.BR pyd2 (8),\n.I /usr/share/doc/pyd2"


def _plain(comment: str) -> str:
    """Return the text of a comment without its stars."""
    return "\n".join(re.sub(r"^\s*\*? ?", "", line, count=1) if number else line.strip()
                     for number, line in enumerate(comment.splitlines())).strip()


def _paragraphs(text: str, *, indent: bool = False) -> Iterator[str]:
    """Yield paragraphs; one whose lines are indented stays as it is."""
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".IP" if indent else ".PP"
        if paragraph.startswith("    "):
            yield f".nf\n{_roff(paragraph)}\n.fi"
        else:
            yield _roff("\n".join(line.strip() for line in paragraph.splitlines()))


def main() -> int:
    """Write the pages into the directory that the command line names."""
    (directory,) = sys.argv[1:]
    Path(directory).mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        Path(directory, name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
