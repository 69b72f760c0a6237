"""The D2 of Kea 2.6.3."""

from __future__ import annotations

from typing import Final

from pyd2.config.defaults import Defaults
from pyd2.config.paths import PathRules
from pyd2.config.rules import ConfigRules
from pyd2.control.commands import CommandRules
from pyd2.hooks.points import HookRules
from pyd2.profiles.kea_2_6_grammar import DHCP_DDNS
from pyd2.profiles.kea_2_6_messages import MESSAGES
from pyd2.profiles.profile import Profile
from pyd2.profiles.release import KEA_2_6_3

KEA_2_6: Final = Profile(
    release=KEA_2_6_3,
    messages=MESSAGES,
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
    ),
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
    ),
    hooks=HookRules(
        version=20603,
        points=(
            "command_processed",
            "context_create",
            "context_destroy",
            "d2_srv_configured",
            "select_key",
        ),
    ),
)
