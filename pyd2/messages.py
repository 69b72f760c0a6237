"""The message catalogue: every ID that Kea's D2 logs, with its logger, level and text (contract, section 10).

IDs and texts are part of Kea's interface: log parsers and operators know them.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Protocol


class Log(Protocol):
    """Where messages go. Everything that logs gets one of these passed in.

    On a hot path, ask ``message_id in log.on`` before building arguments; elsewhere just call ``emit``.
    """

    @property
    def on(self) -> AbstractSet[str]:
        """The IDs whose messages are written under the present configuration."""

    def emit(self, message_id: str, *arguments: object) -> None:
        """Write the message with %1, %2, ... replaced; nothing happens when the ID is not in ``on``.

        Kea logs some messages at another level than the catalogue's; none of D2's do so.
        """
