"""A daemon's control channel, over a UNIX socket, HTTP or HTTPS.

Values are elements, not those of ``json``: the texts of Kea are octets, and stay as they are.
"""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.data.element import Element
from pyd2.data.json import from_json
from pyd2.data.text import scalar_text, string_text
from pyd2.errors import Pyd2Error
from pyd2.tools.channel import USUAL_SOCKET
from pyd2.tools.channel.command_socket import CommandSocket, HttpOptions, read_credentials, reason

if TYPE_CHECKING:
    import argparse


OTHER_SOCKET: Final = "if the daemon has another control socket, name it with --to"


class ChannelError(Pyd2Error):
    """There is no answer to a command; the text says why."""


class Answer(NamedTuple):
    """The answer to a command."""

    result: int
    text: str
    arguments: Element | None

    def member(self, name: str) -> Element | None:
        """Return a member of the arguments; None if there is none."""
        if self.arguments is None or not isinstance(self.arguments.value, dict):
            return None
        return self.arguments.value.get(name)


def add_channel_options(parser: argparse.ArgumentParser) -> None:
    """Declare where the daemon is, and what HTTP needs."""
    parser.add_argument("--to", default=USUAL_SOCKET, metavar="SOCKET|URL",
                        help="its control socket: a path, http://HOST:PORT or https://HOST:PORT "
                             f"(default: {USUAL_SOCKET})")
    parser.add_argument("--credentials", metavar="FILE", help="over HTTP: a file that holds USER:PASSWORD")
    parser.add_argument("--ca", metavar="FILE",
                        help="over HTTPS: the authorities that may have signed the daemon's certificate "
                             "(default: those that the system trusts)")
    parser.add_argument("--cert", metavar="FILE", help="over HTTPS: the certificate to show")
    parser.add_argument("--key", metavar="FILE", help="over HTTPS: its key, if it is in another file")


class Channel:
    """Where a daemon takes commands."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Read the files that the options name. Raises ChannelError."""
        try:
            credentials = read_credentials(arguments.credentials) if arguments.credentials else b""
            self.socket = CommandSocket(arguments.to, HttpOptions(
                credentials, arguments.ca or "", arguments.cert or "", arguments.key or ""
            ))  # fmt: skip
        except (OSError, ValueError) as error:
            raise ChannelError(reason(error)) from None

    def __str__(self) -> str:
        return self.socket.address

    def command(self, name: str, arguments: Element | None = None, timeout: float = 60.0) -> Answer:
        """Return the answer to a command after ``timeout`` seconds at most. Raises ChannelError."""
        members = {"command": Element(name)}
        if arguments is not None:
            members["arguments"] = arguments
        if self.socket.is_http:
            members["service"] = Element([Element("d2")])
        body = to_json(Element(members)).encode()
        try:
            return _answer(self.socket.ask(body, timeout))
        except (OSError, http.client.HTTPException, ValueError, Pyd2Error) as error:
            other = f"; {OTHER_SOCKET}" if self.socket.address == USUAL_SOCKET else ""
            raise ChannelError(f"no answer to {name} from {self}: {reason(error)}{other}") from None


def _answer(raw: bytes) -> Answer:
    """Return what an answer says; over HTTP it is in a list. Raises ValueError or JsonError."""
    value = from_json(raw, "answer")
    if isinstance(value.value, list) and len(value.value) == 1:
        value = value.value[0]
    members = value.value if isinstance(value.value, dict) else {}
    result = members.get("result")
    if result is None or type(result.value) is not int:
        raise ValueError("what came is no answer of Kea")
    text = members.get("text")
    return Answer(result.value, str(text.value) if text else "", members.get("arguments"))


def to_json(element: Element) -> str:
    """Return the text of a value, which reads back as the same: unlike Kea's own form, it is always JSON."""
    value = element.value
    if isinstance(value, dict):
        return f"{{{', '.join(f'{string_text(key)}: {to_json(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(to_json, value))}]"
    return repr(value) if isinstance(value, float) else scalar_text(element)
