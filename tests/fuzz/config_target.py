"""Configuration files: read, checked, printed, and put to use by an engine."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from pyd2.backend import make_backend
from pyd2.config.output import to_element, to_shown_element
from pyd2.config.paths import Directories
from pyd2.control.commands import config_hash
from pyd2.counters import Counters
from pyd2.data.pretty import to_pretty
from pyd2.data.text import to_text
from pyd2.errors import ConfigError
from pyd2.update.engine import Engine
from tests.fuzz import corpora
from tests.fuzz.mutate import any_bytes, mutate_bytes, mutate_text, mutate_values
from tests.fuzz.runner import ACCEPTED
from tests.fuzz.world import WALL, StrictLog
from tests.kit.profile import parse_element, read_file

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from pyd2.config.model import Config
    from pyd2.data.element import Element
    from tests.fuzz.runner import Input

MAIN, PART, SELF = "d2.json", "part.inc", "self.inc"
_PARTS = [b'"port": 53002', b'"comment": "i",', b"", b"5", b'<?include "part.inc"?>', b'"\xff', b"/*"]
_DIRECTORIES = Directories("/hooks", "/logs", "/run")


def use(dhcp_ddns: Element) -> Config:
    """Return the configuration of a DhcpDdns map once everything that uses one has used it."""
    log = StrictLog()
    config = parse_element(dhcp_ddns, _DIRECTORIES, notify=log.emit, read_secret=_read_secret)
    Engine(Counters(), log, make_backend()).configure(config, None, 0.0, WALL)
    for element in (to_element(config), to_shown_element(config)):
        to_text(element).encode("utf-8", "surrogateescape")
        to_pretty(element).encode("utf-8", "surrogateescape")
    config_hash(to_element(config))
    config.summary()
    return config


class ConfigTarget:
    """An input is a file, and another that it may include."""

    name = "config"

    def __init__(self) -> None:
        self._seeds = corpora.configurations()
        self._good = corpora.good_configurations()

    def reset(self) -> None:
        pass

    def close(self) -> None:
        """Leave nothing behind."""

    def make(self, rng: random.Random) -> Input:
        text, part = rng.choice(self._good if rng.random() < 0.7 else self._seeds), rng.choice(_PARTS)
        way = rng.random()
        if way < 0.5:
            text = mutate_values(text, rng, self._seeds)
        elif way < 0.85:
            text = mutate_text(text, rng, self._seeds)
        elif way < 0.98:
            text = mutate_bytes(text, rng, self._seeds)
        else:
            text = any_bytes(rng)
        if rng.random() < 0.1:
            part = mutate_text(rng.choice(self._seeds), rng, self._seeds)
        return text, part

    def run(self, data: Input) -> Iterator[str]:
        files = dict(zip((MAIN, PART), data, strict=False)) | {SELF: b'<?include "self.inc"?>'}

        def read(path: str) -> bytes:
            if path not in files:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            return files[path]

        log = StrictLog()
        try:
            use(read_file(MAIN, notify=log.emit, read=read))
        except ConfigError as error:
            str(error).encode("utf-8", "surrogateescape")
            yield str(error)
        else:
            yield ACCEPTED


def _read_secret(path: str) -> str:
    if path != "secret":
        raise ConfigError(f"Expected a file at path '{path}'")
    return "QUJD"
