"""What may go wrong between a client and NATS."""

from __future__ import annotations

from pyd2.errors import Pyd2Error


class NatsError(Pyd2Error):
    """The root of these errors."""


class ProtocolError(NatsError):
    """The octets of the server are not NATS's protocol, or a message is not what was agreed on."""


class ConnectError(NatsError):
    """No connection came about; the text names the server and says why."""


class NoAnswerError(NatsError):
    """No answer came: whether the call was carried out is not known."""


class RefusedError(NatsError):
    """The server does not allow it: the rights of the client's certificate do not suffice."""


class ApiError(NatsError):
    """JetStream has refused a call, which therefore had no effect."""

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text)
        self.number = number
        """The ``err_code`` of the answer."""


class WrongSequenceError(ApiError):
    """The stream has another last sequence than expected: another one has written, or the caller itself."""
