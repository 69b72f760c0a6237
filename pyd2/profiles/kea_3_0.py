"""The D2 of Kea 3.0: what it does otherwise than that of 2.6 (docs/contract-3.0.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.config.paths import PathRules
from pyd2.config.sockets.socket_list import ControlSocketList
from pyd2.config.sockets.unix_rules import UnixSocketRules
from pyd2.control.answer import ERROR, FATAL_ERROR
from pyd2.hooks.points import HookRules
from pyd2.observe.log import LogRules
from pyd2.observe.pattern import Source
from pyd2.profiles.kea_2_6 import KEA_2_6
from pyd2.profiles.kea_3_0_grammar import DHCP_DDNS
from pyd2.profiles.kea_3_0_messages import MESSAGES
from pyd2.profiles.release import KEA_3_0_4

if TYPE_CHECKING:
    from pyd2.profiles.profile import Profile
    from pyd2.profiles.release import Release

_SOCKET_MODE: Final = 0o770
_TELLS_SOCKET_FAILURE: Final = (3, 0, 4)
"""The first release in which a command says by its result that control sockets could not be opened."""

KEA_3_0: Final = KEA_2_6._replace(
    release=KEA_3_0_4,
    messages={**KEA_2_6.messages, **MESSAGES},
    config=KEA_2_6.config._replace(
        grammar=DHCP_DDNS,
        paths=PathRules(libraries_as_typed=True),
        sockets=ControlSocketList(
            UnixSocketRules(
                exact_mode=False, file_mode=_SOCKET_MODE, reports_own_end=True, same_by_path=True
            )
        ),
    ),
    log=LogRules(
        lock_directory="/run/kea", syslog_names=False, source=Source("../src/lib/log/logger_impl.cc", 168)
    ),
    statistics=(*KEA_2_6.statistics, "queue-mgr-queue-full"),
    commands=KEA_2_6.commands._replace(
        config_write="config-write", lists_early=False, socket_failure=FATAL_ERROR
    ),
    hooks=HookRules(
        version=KEA_3_0_4.hooks_version,
        points=tuple(sorted((*KEA_2_6.hooks.points, "http_auth", "http_response"))),
    ),
)


def profile(release: Release) -> Profile:
    """Return the profile of a release of 3.0."""
    failure = FATAL_ERROR if release.number >= _TELLS_SOCKET_FAILURE else ERROR
    return KEA_3_0._replace(
        release=release,
        commands=KEA_3_0.commands._replace(socket_failure=failure),
        hooks=KEA_3_0.hooks._replace(version=release.hooks_version),
    )
