"""Keeps secrets out of messages: which texts may be secrets, and the text shown instead.

A message reaches logs, terminals and, through the service manager, every user of the machine. A text that may
be a TSIG secret or a password, with or without a typing mistake, is never shown: the message names its place.
"""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "*****"
"""Shown instead of a secret, as in Kea's messages."""

_WORDS: Final = ("secret", "password")
_STRING_OR_BRACE: Final = re.compile(r'"(?:[^"\\\n]++|\\.)*+"?|[{}]')
"""A string that does not end in its line ends with it. If it were none, each quote in it would begin a search
for its end, and a text of some kilobytes would take seconds.
"""
_BASE64: Final = re.compile(r"(?!/)[A-Za-z0-9+/=\s]{16,}")
"""A text that begins with a slash is a path."""


def is_secret_name(name: str) -> bool:
    """Return whether the member of a map that has this name is a secret."""
    return name.lower().endswith(_WORDS)


def may_be_secret(text: str) -> bool:
    """Return whether a text looks like a TSIG secret, though it is in the place of something else."""
    return _BASE64.fullmatch(text) is not None and not (text.isalpha() and (text.islower() or text.isupper()))


def holds_secret(token: str, *before: str) -> bool:
    """Return whether a faulty token may be a secret.

    ``before`` are the texts that lead to it, the nearest first: its file up to the token, then each including
    file up to the directive. The name of a secret is in the same map as the secret.
    """
    parts = [token]
    for text in before:
        start = 0
        for found in _STRING_OR_BRACE.finditer(text):
            if found.group() in {"{", "}"}:
                start = found.end()
        parts.append(text[start:])
        if start:
            break
    return any(word in part.lower() for part in parts for word in _WORDS)
