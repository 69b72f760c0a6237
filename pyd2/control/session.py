"""One connection to the UNIX control socket, without the socket: bytes of a command in, its answer out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.control.framing import MAX_REQUEST, FramingState, JsonFraming

if TYPE_CHECKING:
    from pyd2.control.executor import CommandExecutor
    from pyd2.messages import Log


class UnixSession:
    """Reads one command by its JSON framing and has it carried out (contract, section 8, "Framing").

    ``number`` is the connection's file descriptor, for messages.
    """

    def __init__(self, executor: CommandExecutor, log: Log, number: int) -> None:
        self._executor = executor
        self._log = log
        self._number = number
        self._framing = JsonFraming()

    @property
    def size(self) -> int:
        """How many bytes of a command have come; comments, and bytes before the command, do not count."""
        return self._framing.size

    def receive(self, data: bytes) -> bytes | None:
        """Read the next bytes; return None if more must come, else the answer.

        An empty answer means that the connection is to be closed without one.
        """
        state = self._framing.feed(data)
        if state is FramingState.NEEDS_DATA:
            return None
        if state is FramingState.TOO_LONG:
            self._log.emit("PYD2_CONTROL_REQUEST_TOO_LARGE", MAX_REQUEST, self._number)
            return self._executor.failure(self._framing.error)
        if state is FramingState.FAILED:
            return self._executor.refuse(self._framing.error)
        return self._executor.execute(self._framing.text, self._number)

    def timed_out(self) -> bytes:
        """Return the answer to a command whose next bytes do not come."""
        text = "Connection over control channel timed out"
        if self.size:
            text += f", discarded partial command of {self.size} bytes"
        return self._executor.failure(text)
