"""Sign with your own code: a key whose contexts are objects of this library.

    "hooks-libraries": [ {
        "library": "signer.py",
        "parameters": { "name": "rolling.", "algorithm": "hmac-sha256", "secret-file": "/run/d2/secret" }
    } ]

The updates to all servers are signed with a key whose secret is read from a file for each of them, so that
another program can change it at any time. This is also the place to sign with hardware or by GSS-TSIG.
The file holds the secret itself, not its base64 text; without it no update is sent.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyd2.hooks import VERSION, CalloutHandle, HookError, LibraryHandle, TsigKey

if TYPE_CHECKING:
    from pyd2.dns.tsig import SigningContext, TsigRecord


class Context:
    """The signing of one update and the verification of its reply. Your own code goes into its methods."""

    def __init__(self, key: TsigKey) -> None:
        self._context: SigningContext = key.create_context()

    @property
    def length(self) -> int:
        """Octets that signing adds to the message, at most."""
        return self._context.length

    def sign(self, message: bytes, qid: int, wall: int) -> bytes:
        """Return the message with its query ID and its TSIG record; ``wall`` is the time in seconds."""
        return self._context.sign(message, qid, wall)

    def verify(self, reply: bytes, tsig: TsigRecord | None, wall: int) -> None:
        """Return if the reply is authentic, raise pyd2.errors.ReplyError if not."""
        self._context.verify(reply, tsig, wall)


class RollingKey:
    """The key: it makes a context for each update."""

    def __init__(self, name: str, algorithm: str, secret_file: Path) -> None:
        """Raise HookError when the name or the algorithm is none."""
        shape = TsigKey(name, algorithm, b"not yet known")
        self.name = shape.name
        self.algorithm = shape.algorithm
        self._short_algorithm = algorithm
        self._secret_file = secret_file

    def create_context(self) -> Context:
        """Begin an update; HookError when there is no secret."""
        try:
            secret = self._secret_file.read_bytes()
        except OSError as error:
            raise HookError(f"key {self.name} has no secret: {error}") from error
        return Context(TsigKey(self.name, self._short_algorithm, secret))


keys: list[RollingKey] = []


def version() -> int:
    """Say for which version of the hooks this library was written."""
    return VERSION


def load(handle: LibraryHandle) -> None:
    """Make the key once; what is wrong with the parameters refuses the configuration."""
    for wanted in ("name", "secret-file"):
        if not isinstance(handle.get_parameter(wanted), str):
            raise HookError(f"the parameter {wanted} is missing")
    name, path = handle.get_parameter("name"), Path(handle.get_parameter("secret-file"))
    keys.append(RollingKey(name, handle.get_parameter("algorithm", "hmac-sha256"), path))


def select_key(handle: CalloutHandle) -> None:
    """Sign with it, whichever server this is."""
    handle.set_argument("tsig_key", keys[0])
