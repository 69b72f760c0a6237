"""The chain without hook libraries. It needs nothing of what runs them, which takes long to import."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pyd2.hooks.hook_thread import hook_thread

if TYPE_CHECKING:
    from pyd2.config.model import Config
    from pyd2.data.element import Element
    from pyd2.hooks.interface import HttpUse, Statistics
    from pyd2.update.drive.server_choice import SelectKey


class NoLibraries:
    """A ``Chain`` of no libraries: nothing is asked, and nothing is changed."""

    @property
    def select_key(self) -> SelectKey | None:
        """See ``Chain``."""
        return None

    def commands(self) -> list[str]:
        """See ``Chain``."""
        return []

    def has_command(self, name: str) -> bool:  # noqa: ARG002  no command of any name
        """See ``Chain``."""
        return False

    def run_command(self, name: str, request: Element) -> Element | None:
        """See ``Chain``; nothing calls this."""

    def command_processed(
        self, name: str, arguments: Element | None, response: Element | None,  # noqa: ARG002
    ) -> Element | None:
        """See ``Chain``."""
        return response

    def http_use(self) -> HttpUse | None:
        """See ``Chain``."""
        return None

    def configured(
        self, config: Config, element: Element, io_context: object = None,  # noqa: ARG002
    ) -> tuple[bool, str]:
        """See ``Chain``."""
        return True, ""

    def changed_config(self) -> Config | None:
        """Return None: only libraries compiled for Kea can change a configuration."""
        return None

    def adopt_changed(self, config: Config) -> None:
        """Do nothing: no library changes a configuration here."""

    def share_statistics(self, statistics: Statistics) -> None:
        """Show the statistics that libraries compiled for Kea left behind, if any were loaded before."""
        start = sys.modules.get("pyd2.hooks.kea.start")
        shim = None if start is None else start.started()
        if shim is not None:
            from pyd2.hooks.kea.statistics import LeftStatistics

            statistics.providers.append(LeftStatistics(shim))

    def unload(self) -> None:
        """Free what libraries that were unloaded before have left."""
        hook_thread.run_posted()  # objects of the libraries that the update thread dropped end before them
        release = sys.modules.get("pyd2.hooks.release")
        if release is not None:
            release.free_closed()
