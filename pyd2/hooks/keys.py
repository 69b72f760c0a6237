"""Keys that a library makes for ``select_key``."""

from __future__ import annotations

import base64
import binascii

from pyd2.dns.tsig import ALGORITHMS, HmacKey
from pyd2.errors import DomainNameError, HookError


class TsigKey(HmacKey):
    """A TSIG key with a shared secret. Make it once, in ``load`` say, and use it for many updates."""

    __slots__ = ()

    def __init__(self, name: str, algorithm: str, secret: bytes | str, digest_bits: int = 0) -> None:
        """Make a key from the values of a ``tsig-keys`` entry: ``secret`` as base64 text, or as octets.

        ``algorithm`` is ``HMAC-SHA256`` or another of the configuration's, in any case. Raises HookError.
        """
        if not isinstance(algorithm, str) or algorithm.lower() not in ALGORITHMS:
            raise HookError(f"Unknown TSIG Key algorithm: {algorithm}")
        if isinstance(secret, str):
            try:
                secret = base64.b64decode("".join(secret.split()), validate=True)
            except (binascii.Error, ValueError) as error:
                raise HookError(f"the secret of key {name} is not base64: {error}") from error
        if not secret:
            raise HookError(f"the secret of key {name} is empty")
        try:
            super().__init__(name, algorithm, secret, digest_bits)
        except DomainNameError as error:
            raise HookError(str(error)) from error
