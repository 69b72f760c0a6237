"""The texts of messages with their arguments filled in (contract, section 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MARK: Final = "%"
_MARKS: Final = tuple(f"{MARK}{number}" for number in range(10))


def prepare(template: str) -> tuple[str, int]:
    """Return a template for the operator ``%`` and how many arguments it takes.

    -1: its marks are not %1, %2, ... in this order, so ``substitute`` has to fill it in.
    """
    first, *rest = template.split(MARK)
    if any(piece[:1] != str(number) for number, piece in enumerate(rest, 1)):
        return "", -1
    return "%s".join([first, *[piece[1:] for piece in rest]]), len(rest)


def substitute(template: str, arguments: Sequence[object]) -> str:
    """Replace %1, %2, ... by the arguments, one after the other, and complain inside the text as Kea does.

    Like Kea, it also replaces a later mark that an argument holds.
    """
    number = 1
    for argument in arguments:
        mark = _MARKS[number]
        if mark in template:
            template = template.replace(mark, str(argument))
        else:
            template += f" @@Missing logger placeholder '{mark}' for value '{argument}'@@"
        number += 1
    if _MARKS[number] in template:
        template += f" @@Excess logger placeholder '{_MARKS[number]}' still exists@@"
    return template
