"""What the clients of an HTTP control socket may do, by their role.

Kea has no roles: a client may do all. With the role ``read`` it gets answers, and changes nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pyd2.config.redact import redact_for_reader

if TYPE_CHECKING:
    from pyd2.data.element import Element

ALL: Final = "all"
READ: Final = "read"
NAMES: Final = (ALL, READ)

_READING: Final = re.compile(r".*-get(-.*)?|pyd2-.*-list|list-commands|config-test|build-report", re.DOTALL)


def allows(role: str, request: Element | None) -> bool:
    """Say whether a client may send a request.

    A request that names no command is allowed: it gets an error and changes nothing.
    """
    if role == ALL or request is None or not isinstance(request.value, dict):
        return True
    command = request.value.get("command")
    if command is None or not isinstance(command.value, str):
        return True
    # As in the names of hook libraries' commands, "_" is the same as "-".
    return _READING.fullmatch(command.value.replace("_", "-")) is not None


def shown(role: str, answer: Element) -> Element:
    """Return the answer as a client may see it: ``read`` sees no secret, whatever the configuration says."""
    return answer if role == ALL else redact_for_reader(answer)
