"""Keeps secrets out of messages: which texts may be one, and what is said in their place.

A message reaches logs, terminals and, through the service manager, every user of the machine. Whatever may
be a TSIG secret or a password, with or without a typing mistake, is told of by its place and never shown.
"""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "*****"
"""Stands for a secret, as in Kea's messages."""

_WORDS: Final = ("secret", "password")
_STRING_OR_BRACE: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|[{}]')
_BASE64: Final = re.compile(r"(?!/)[A-Za-z0-9+/=\s]{16,}")
"""A path is not meant: one that begins with a slash."""


def is_secret_name(name: str) -> bool:
    """Return whether the member of a map that has this name is a secret."""
    return name.lower().endswith(_WORDS)


def may_be_secret(text: str) -> bool:
    """Return whether a text looks like a TSIG secret, though it stands where something else should."""
    return _BASE64.fullmatch(text) is not None and not (text.isalpha() and (text.islower() or text.isupper()))


def holds_secret(token: str, *before: str) -> bool:
    """Return whether a faulty token may be a secret.

    ``before`` are the texts that lead to it, the nearest first: what stands before it in its file, then what
    stands before that file in those that include it. A secret has its name in the map that it stands in.
    """
    parts = [token]
    for text in before:
        start = 0
        for found in _STRING_OR_BRACE.finditer(text):
            if len(found.group()) == 1:
                start = found.end()
        parts.append(text[start:])
        if start:
            break
    return any(word in part.lower() for part in parts for word in _WORDS)
