"""The D2 of Kea 2.6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.config.defaults import Defaults
from pyd2.config.paths import PathRules
from pyd2.config.rules import ConfigRules
from pyd2.config.sockets.one_socket import OneControlSocket
from pyd2.config.sockets.unix_rules import UnixSocketRules
from pyd2.control.commands import CommandRules
from pyd2.hooks.points import HookRules
from pyd2.observe.log import LogRules
from pyd2.profiles.kea_2_6_grammar import DHCP_DDNS
from pyd2.profiles.kea_2_6_messages import MESSAGES
from pyd2.profiles.kea_3_0_messages import HTTP_MESSAGES
from pyd2.profiles.profile import Profile
from pyd2.profiles.release import KEA_2_6_3

if TYPE_CHECKING:
    from pyd2.profiles.release import Release

KEA_2_6: Final = Profile(
    release=KEA_2_6_3,
    # Kea 2.6 has no HTTP control sockets, but pyd2 may (config/sockets/own_sockets.py).
    messages={**MESSAGES, **HTTP_MESSAGES},
    config=ConfigRules(
        grammar=DHCP_DDNS,
        defaults=Defaults(
            dhcp_ddns={
                "ip-address": "127.0.0.1",
                "port": 53001,
                "dns-server-timeout": 500,
                "ncr-protocol": "UDP",
                "ncr-format": "JSON",
            },
            tsig_key={"digest-bits": 0},
            domain={"key-name": ""},
            server={"hostname": "", "port": 53, "key-name": ""},
        ),
        paths=PathRules(name_below_root=True),
        sockets=OneControlSocket(
            UnixSocketRules(exact_mode=True, file_mode=None, reports_own_end=False, same_by_path=False)
        ),
    ),
    log=LogRules(lock_directory="/var/run/kea", syslog_names=True),
    statistics=(
        "ncr-received",
        "ncr-invalid",
        "ncr-error",
        "update-sent",
        "update-signed",
        "update-unsigned",
        "update-success",
        "update-timeout",
        "update-error",
    ),
    commands=CommandRules(
        names=(
            "build-report",
            "config-get",
            "config-hash-get",
            "config-reload",
            "config-set",
            "config-test",
            "config-write",
            "shutdown",
            "status-get",
            "version-get",
            "statistic-get",
            "statistic-get-all",
            "statistic-reset",
            "statistic-reset-all",
        ),
        config_write="write-config",
        lists_early=True,
        socket_failure=1,
    ),
    hooks=HookRules(
        version=KEA_2_6_3.hooks_version,
        points=(
            "command_processed",
            "context_create",
            "context_destroy",
            "d2_srv_configured",
            "select_key",
        ),
    ),
)


def profile(release: Release) -> Profile:
    """Return the profile of a release of 2.6."""
    return KEA_2_6._replace(release=release, hooks=KEA_2_6.hooks._replace(version=release.hooks_version))
