"""``pyd2ctl lint``: finds what is allowed but doubtful in a configuration."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from pyd2.config.lexer import read_first_config_file
from pyd2.config.parse import parse_element, read_file
from pyd2.config.paths import Directories
from pyd2.data.controls import escaped
from pyd2.errors import ConfigError, without_secrets
from pyd2.tools.kea import add_kea_option, kea_profile
from pyd2.tools.lint.hints import hint
from pyd2.tools.lint.rules import RULES, Subject
from pyd2.tools.probe.options import add_probe_options, probe
from pyd2.tools.progress import Progress

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from pyd2.config.model import Config
    from pyd2.profiles.profile import Profile
    from pyd2.tools.lint.rules import Finding


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl lint``."""
    parser.add_argument("config", metavar="FILE", nargs="+", help="a configuration of the daemon")
    add_kea_option(parser)
    add_probe_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the findings, one line each; exit status 0 if there are none."""
    profile = kea_profile(arguments)
    found = 0
    for file in arguments.config:
        with Progress(f"checking {file}") as progress:
            lines = lint(file, profile, partial(probe, arguments=arguments, progress=progress))
        for line in lines:
            print(escaped(line))
        found += len(lines)
    return 1 if found else 0


def lint(file: str, profile: Profile, probe: Callable[[Config], list[Finding]]) -> list[str]:
    """Return the errors and findings of a file, a line each.

    ``probe`` has further findings for a configuration without errors.
    """
    directories = Directories.from_environment(os.environ, profile.config.paths)
    lines: list[str] = []

    def notify(message_id: str, *details: object) -> None:
        if not message_id.startswith("PYD2_"):  # the rules report these, with their place
            text = profile.messages[message_id].text
            for number, detail in enumerate(details, start=1):
                text = text.replace(f"%{number}", str(detail))
            lines.append(text)

    try:
        root = read_file(file, profile.config, notify=notify, read=read_first_config_file)
        config = parse_element(root, profile.config, directories, notify=notify)
    except ConfigError as error:
        lines.append(f"error: {error}")
        if instead := hint(str(error), profile.config.grammar):
            lines.append(f"instead: {instead}")
        return lines
    subject = Subject(config, root, directories, profile.config.sockets.unix)
    findings = [*(finding for rule in RULES for finding in rule(subject)), *probe(config)]
    findings.sort(key=lambda finding: finding.position)
    lines += [f"{finding.position}: {finding.text}" for finding in findings]
    return [*map(without_secrets, lines)]
