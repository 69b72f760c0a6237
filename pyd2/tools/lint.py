"""``pyd2ctl lint``: finds what is allowed but doubtful in a configuration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pyd2.config.lexer import read_first_config_file
from pyd2.config.parse import parse_element, read_file
from pyd2.config.paths import Directories
from pyd2.data.controls import escaped
from pyd2.errors import ConfigError, without_secrets
from pyd2.tools.kea import add_kea_option, kea_profile
from pyd2.tools.lint_hints import hint
from pyd2.tools.lint_rules import RULES, Subject

if TYPE_CHECKING:
    import argparse

    from pyd2.profiles.profile import Profile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl lint``."""
    parser.add_argument("config", metavar="FILE", nargs="+", help="a configuration of the daemon")
    add_kea_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the findings, one line each; exit status 0 if there are none."""
    profile = kea_profile(arguments)
    return 1 if sum(lint(file, profile) for file in arguments.config) else 0


def lint(file: str, profile: Profile) -> int:
    """Print the errors and findings of a file; return the number of lines."""
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
        print(*map(escaped, lines), sep="\n")
        return len(lines)
    subject = Subject(config, root, directories, profile.config.sockets.unix)
    findings = sorted((finding for rule in RULES for finding in rule(subject)),
                      key=lambda finding: finding.position)
    lines += [f"{finding.position}: {finding.text}" for finding in findings]
    for line in lines:
        print(escaped(without_secrets(line)))
    return len(lines)
