"""The log messages of Kea's library, of the logger ``gss-tsig-hooks``.

They are not in the catalogue of the profile: without GSS-TSIG nothing of them is in memory.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from pyd2.messages import Log, read_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyd2.messages import Message, Severity

LOGGER: Final = "gss-tsig-hooks"

MESSAGES: Final[Mapping[str, Message]] = read_table(f"""
[{LOGGER}]
E   BAD_CLIENT_CREDENTIALS bad client credentials: %1
E   GSS_TSIG_COMMAND_PROCESSED_FAILED command_processed callout failed: %1.
I   GSS_TSIG_IGNORED_BAD_DIRECTION ignored bad direction verify failure.
E   GSS_TSIG_LOAD_FAILED GSS-TSIG hooks library failed to load: %1.
I   GSS_TSIG_LOAD_OK GSS-TSIG hooks library loaded successfully.
D40 GSS_TSIG_MANAGER_STARTED hooks library GSS-TSIG key periodic manager started.
D40 GSS_TSIG_MANAGER_STOPPED hooks library GSS-TSIG key periodic manager stopped.
I   GSS_TSIG_NEW_KEY new GSS-TSIG key '%1' was created.
W   GSS_TSIG_NEW_KEY_SETUP_FAILED new GSS-TSIG key '%1' setup failed: %2.
D40 GSS_TSIG_NEW_KEY_SETUP_SUCCEED new GSS-TSIG key '%1' setup succeed.
D40 GSS_TSIG_OLD_KEY_REMOVED %1 old GSS-TSIG keys were removed
I   GSS_TSIG_UNLOAD_OK GSS-TSIG hooks library unloaded successfully.
D40 GSS_TSIG_VERIFIED GSS-TSIG verify successed.
I   GSS_TSIG_VERIFY_FAILED GSS-TSIG verify failed: %1.
D40 KEY_LOOKUP_DISABLED hooks library lookup for a key: GSS-TSIG is not enabled for the current DNS server.
D40 KEY_LOOKUP_FOUND hooks library lookup for a key: return GSS-TSIG key '%1'.
D40 KEY_LOOKUP_NONE hooks library lookup for a key: found no usable key.
E   KEY_PROCESSING_FAILED The GSS-TKEY processing for server %1 failed because of an error: %2
D40 START_REKEY_TIMER started timer handling rekey for server %1 in %2 seconds.
D40 START_RETRY_TIMER started timer handling retry for server %1 in %2 seconds.
D40 TKEY_EXCHANGE_ANSWER_CLASS GSS-TKEY exchange received a response with answer class: %1.
E   TKEY_EXCHANGE_FAILED_TO_VERIFY GSS-TKEY exchange failed because the response failed to verify.
E   TKEY_EXCHANGE_FAIL_EMPTY_IN_TOKEN GSS-TKEY exchange failed because input token is empty.
E   TKEY_EXCHANGE_FAIL_EMPTY_OUT_TOKEN GSS-TKEY exchange failed because output token is empty.
E   TKEY_EXCHANGE_FAIL_EMPTY_RESPONSE GSS-TKEY exchange failed because the response is empty.
E   TKEY_EXCHANGE_FAIL_IO_ERROR GSS-TKEY exchange failed because of the IO error: %1.
E   TKEY_EXCHANGE_FAIL_IO_TIMEOUT GSS-TKEY exchange failed because of IO timeout.
E   TKEY_EXCHANGE_FAIL_NOT_SIGNED GSS-TKEY exchange failed because the response is not signed.
E   TKEY_EXCHANGE_FAIL_NO_RDATA GSS-TKEY exchange failed because the response contains no rdata.
E   TKEY_EXCHANGE_FAIL_RESPONSE_ERROR GSS-TKEY exchange failed because the response contains an error: %1.
E   TKEY_EXCHANGE_FAIL_TKEY_ERROR GSS-TKEY exchange failed because the response contains TKEY error: %1.
E   TKEY_EXCHANGE_FAIL_TO_INIT GSS-TKEY exchange failed to initialize because of the error: %1.
E   TKEY_EXCHANGE_FAIL_WRONG_RESPONSE_ANSWER_COUNT GSS-TKEY exchange failed because the response contains invalid number of RRs: %1.
E   TKEY_EXCHANGE_FAIL_WRONG_RESPONSE_ANSWER_TYPE GSS-TKEY exchange failed because the response contains wrong answer type: %1.
E   TKEY_EXCHANGE_FAIL_WRONG_RESPONSE_OPCODE GSS-TKEY exchange failed because the response contains invalid opcode: %1.
D40 TKEY_EXCHANGE_NOT_A_RESPONSE GSS-TKEY exchange received a non response type.
D40 TKEY_EXCHANGE_OUT_TOKEN_NOT_EMPTY GSS-TKEY exchange output token is not empty.
D40 TKEY_EXCHANGE_RDATA_COUNT GSS-TKEY exchange received a response with rdata count: %1.
D40 TKEY_EXCHANGE_RECEIVE_MESSAGE GSS-TKEY exchange receives a message of size: %1.
D40 TKEY_EXCHANGE_RESPONSE_TTL GSS-TKEY exchange received a response with TTL of: %1 seconds.
D40 TKEY_EXCHANGE_SEND_MESSAGE GSS-TKEY exchange sends a message of size: %1.
D40 TKEY_EXCHANGE_VALID GSS-TKEY exchange retrieved a TKEY valid for: %1 seconds.
D40 TKEY_EXCHANGE_VERIFIED GSS-TKEY exchange verified.
""")  # noqa: E501  one message a line
"""The messages by ID. Those that pyd2 has no occasion for are left out."""


class _NamedLogger(Protocol):
    def enabled(self, severity: Severity, debuglevel: int = 0) -> bool:
        """Return whether such messages are written."""

    def message(self, severity: Severity, debuglevel: int, message_id: str, text: str) -> None:
        """Write a message."""


class ServerLog(Log, Protocol):
    """The members of the server's log that are needed here."""

    def logger(self, name: str) -> _NamedLogger:
        """Return the logger of a name."""


class GssLog:
    """Writes the messages, from any thread."""

    def __init__(self, log: ServerLog) -> None:
        self._logger = log.logger(LOGGER)
        self.server: Final[Log] = log
        """The server's log, for the messages that only pyd2 has."""
        each = MESSAGES["GSS_TSIG_VERIFIED"]
        self.debug: Final = self._logger.enabled(each.severity, each.debuglevel)
        """Whether each use of a key is logged."""

    def emit(self, message_id: str, *arguments: object) -> None:
        """Write a message of Kea's library with %1, %2, ... replaced."""
        message = MESSAGES[message_id]
        severity, debuglevel = message.severity, message.debuglevel
        if self._logger.enabled(severity, debuglevel):
            text = re.sub("%([1-9])", lambda mark: str(arguments[int(mark[1]) - 1]), message.text)
            self._logger.message(severity, debuglevel, message_id, text)
