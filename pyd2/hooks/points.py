"""The hook points of D2, their arguments, and what a callout's status does there (contract, section 7)."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = 20603
"""What the ``version`` function of a library in Python returns under every release: that of Kea 2.6.3."""


class Status(IntEnum):
    """What the server does after the callouts of a point; callouts read and set it in turn."""

    CONTINUE = 0
    SKIP = 1
    DROP = 2
    PARK = 3


class Kind(Enum):
    """What an argument holds, as a callout sees it."""

    JSON = "a JSON value as plain Python (dict, list, str, int, float, bool), or None when there is none"
    TEXT = "a str"
    KEY = "a signing key, or None: unsigned"
    HTTP_REQUEST = "an HTTP request as plain Python, a dict"
    HTTP_RESPONSE = "an HTTP response as plain Python, a dict, or None when there is none"
    OBJECT = "an object of the server"

    # Each member exists once, so the hash of the object will do; it costs a third of Enum's own.
    __hash__ = object.__hash__


class Argument(NamedTuple):
    """One argument of a hook point."""

    name: str
    kind: Kind
    out: bool
    """True: the server reads the argument again after the callouts."""
    meaning: str


class Point(NamedTuple):
    """One hook point."""

    name: str
    arguments: tuple[Argument, ...]


# In the order of Kea's list of names, in which a library's standard callouts are registered.
_POINTS: Final = (
    Point(
        "command_processed",
        (
            Argument("name", Kind.TEXT, out=False, meaning="the command's name"),
            Argument("arguments", Kind.JSON, out=False, meaning="the command's arguments, or None"),
            Argument("response", Kind.JSON, out=True, meaning="the answer, or None: no answer is sent"),
        ),
    ),
    Point("context_create", ()),
    Point("context_destroy", ()),
    Point(
        "d2_srv_configured",
        (
            Argument("io_context", Kind.OBJECT, out=False, meaning="the event loop, or None"),
            Argument("json_config", Kind.JSON, out=False, meaning="the DhcpDdns map with its defaults"),
            Argument("server_config", Kind.OBJECT, out=False, meaning="a pyd2.config.model.Config"),
            Argument("error", Kind.TEXT, out=True, meaning="why it is refused; empty at first"),
        ),
    ),
    Point(
        "http_auth",
        (
            Argument("request", Kind.HTTP_REQUEST, out=True, meaning="the request over HTTP"),
            Argument("response", Kind.HTTP_RESPONSE, out=True, meaning="None, or the refusal (401)"),
        ),
    ),
    Point(
        "http_response",
        (
            Argument("request", Kind.HTTP_REQUEST, out=False, meaning="the request over HTTP"),
            Argument("response", Kind.HTTP_RESPONSE, out=True, meaning="the response to a command"),
        ),
    ),
    Point(
        "select_key",
        (
            Argument("current_server", Kind.OBJECT, out=False, meaning="a pyd2.config.model.DnsServer"),
            Argument("tsig_key", Kind.KEY, out=True, meaning="the key that signs the update, or None"),
        ),
    ),
)

POINTS: Final = {point.name: point for point in _POINTS}
"""The points that a function of a library's module attaches to by its name."""


class HookRules(NamedTuple):
    """What a Kea release demands of hook libraries, and the points that it offers them."""

    version: int
    """Kea's own hooks version, which the ``version`` function of a library in Python may return, too."""
    points: tuple[str, ...]
    """The names of the points, sorted."""


RULES: Final = HookRules(VERSION, tuple(POINTS))
"""The rules where no profile is given: in tests of libraries."""

COMMAND: Final = Point(
    "$command",
    (
        Argument("command", Kind.JSON, out=False, meaning="the whole request"),
        Argument("response", Kind.JSON, out=True, meaning="the answer; None at first, and then none is sent"),
    ),
)
"""The point of every command that a library registers."""

KINDS: Final = {
    point.name: {argument.name: argument.kind for argument in point.arguments}
    for point in (*_POINTS, COMMAND)
}
"""For each point the kinds of its arguments by name."""

JSON_KINDS: Final = frozenset({Kind.JSON, Kind.HTTP_REQUEST, Kind.HTTP_RESPONSE})
"""The kinds whose values are JSON: an ``Element`` inside the server, or None."""


def has_argument(hook: str, argument: str) -> bool:
    """Say whether a hook point of the server has an argument of that name."""
    return argument in KINDS.get(hook, {})


def kind_of(hook: str, argument: str) -> Kind | None:
    """Return the kind of an argument of a hook; None for a name that callouts made up."""
    return kinds_at(hook).get(argument)


def kinds_at(hook: str) -> Mapping[str, Kind]:
    """Return the kinds of a hook's arguments; empty for a point that a compiled library has made."""
    kinds = KINDS.get(hook)
    if kinds is None:
        return KINDS[COMMAND.name] if hook[0] == "$" else {}
    return kinds


def hook_of_command(command: str) -> str:
    """Return a command's hook name: ``$`` and the name with ``_`` for ``-``."""
    return "$" + command.replace("-", "_")


def command_of_hook(hook: str) -> str:
    """Return the name by which ``list-commands`` shows the command of a hook name that begins with ``$``."""
    return hook[1:].replace("_", "-")
