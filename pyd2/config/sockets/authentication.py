"""The ``authentication`` of an HTTP control socket, in Kea's order of checks (kea-dhcp-ddns 3.0)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.config.model import Authentication, HttpClient
from pyd2.config.switches import check_no_switches, parse_role
from pyd2.data.secrets import HIDDEN
from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.data.element import Element

_DEFAULT_PASSWORDS: Final = frozenset({"1234", "*****", "keatest"})
"""Passwords that stand in examples; Kea refuses them."""


def parse_authentication(element: Element, read_secret: Callable[[str], str]) -> Authentication:
    """Return the authentication of a map that has a ``type`` and a ``realm``.

    ``read_secret`` returns the first word of a file. Raises ConfigError.
    """
    kind = _text(element, "type")
    if kind != "basic":
        raise ConfigError(
            f"only basic HTTP authentication is supported: type is '{kind}' not 'basic' "
            f"({_place(element, 'type')})"
        )
    realm = _text(element, "realm")
    directory = _text(element, "directory")
    _check_context(element)
    check_no_switches(element.get("user-context"))
    listed = element.get("clients")
    if listed is None:
        return Authentication(realm, ())
    if not isinstance(listed.value, list):
        raise ConfigError(f"clients must be a list ({listed.position})")

    def read(name: str) -> str:
        """Return the first word of a file below the directory."""
        return read_secret(below(directory, name))

    return Authentication(realm, tuple(_client(entry, read) for entry in listed.value))


def below(directory: str, name: str) -> str:
    """Return the path of a file that a client names; without a ``directory`` it is below the root."""
    return f"{directory.removesuffix('/')}/{name.removeprefix('/')}"


def _client(entry: Element, read: Callable[[str], str]) -> HttpClient:
    if not isinstance(entry.value, dict):
        raise ConfigError(f"clients items must be maps ({entry.position})")
    password = _text(entry, "password")
    if password in _DEFAULT_PASSWORDS:
        raise ConfigError(f"password must not be a default one ({_place(entry, 'password')})")
    _check_exclusive(entry, "password", "password-file")
    password_file = _text(entry, "password-file")
    if not {"user", "user-file", "password-file"} & entry.value.keys():
        raise ConfigError(f"user is required in clients items ({entry.position})")
    user = _user(entry, read)
    if "password-file" in entry.value:
        word = read(password_file)
        if user is None:
            user, colon, password = word.partition(":")
            if not colon:
                raise ConfigError(
                    f"can't find the user id part in password-file '{password_file}' "
                    f"({_place(entry, 'password-file')})"
                )
        else:
            password = word
    _check_context(entry)
    return HttpClient(user or "", password, parse_role(entry.get("user-context")))


def _user(entry: Element, read: Callable[[str], str]) -> str | None:
    """Return the name of a client; None: it stands before the password in the ``password-file``."""
    _check_exclusive(entry, "user", "user-file")
    user = None
    if entry.get("user") is not None:
        user = _text(entry, "user")
        place = f"({_place(entry, 'user')})"
        if not user:
            raise ConfigError(f"user must not be empty {place}")
        if ":" in user:
            # What follows the colon is most likely the password.
            shown = f"{user.partition(':')[0]}:{HIDDEN}"
            raise ConfigError(f"user must not contain a ':': '{shown}' {place}")
    if entry.get("user-file") is not None:
        name = _text(entry, "user-file")
        user = read(name)
        place = f"from user-file '{name}' ({_place(entry, 'user-file')})"
        if not user:
            raise ConfigError(f"user must not be empty {place}")
        if ":" in user:
            raise ConfigError(f"user must not contain a ':' {place}")
    return user


def _text(scope: Element, name: str) -> str:
    """Return a member that must be a string, empty if it is absent. Raises ConfigError."""
    element = scope.get(name)
    if element is None:
        return ""
    if not isinstance(element.value, str):
        raise ConfigError(f"{name} must be a string ({element.position})")
    return element.value


def _check_exclusive(scope: Element, name: str, other: str) -> None:
    """Check that the map does not have both members. Raises ConfigError."""
    if scope.get(name) is not None and scope.get(other) is not None:
        raise ConfigError(
            f"{name} ({_place(scope, name)}) and {other} ({_place(scope, other)}) are mutually exclusive"
        )


def _check_context(scope: Element) -> None:
    context = scope.get("user-context")
    if context is not None and not isinstance(context.value, dict):
        raise ConfigError(f"user-context must be a map ({context.position})")


def _place(scope: Element, name: str) -> str:
    return str(scope.map_value()[name].position)
