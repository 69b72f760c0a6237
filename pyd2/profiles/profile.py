"""What a Kea release has and does: one frozen value, which the program passes down from its start."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyd2.config.rules import ConfigRules
    from pyd2.control.commands import CommandRules
    from pyd2.hooks.points import HookRules
    from pyd2.messages import Message
    from pyd2.observe.log import LogRules
    from pyd2.profiles.release import Release


class Profile(NamedTuple):
    """A Kea release as pyd2 behaves like it. Another release is a copy with other values.

    Each part of pyd2 gets what it needs of it when it is made, or with each configuration. Nothing here is
    looked up for each request.
    """

    release: Release
    messages: Mapping[str, Message]
    """The messages of Kea, by ID. pyd2's own are not among them (``pyd2.messages.OWN_MESSAGES``)."""
    config: ConfigRules
    log: LogRules
    statistics: tuple[str, ...]
    """The names of Kea's statistics, without those of keys."""
    commands: CommandRules
    hooks: HookRules

    def unrestricted(self) -> Self:
        """Return the profile with the option ``-X``: files may lie in any directory."""
        paths = self.config.paths._replace(restricted=False)
        return self._replace(config=self.config._replace(paths=paths))
