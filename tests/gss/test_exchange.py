"""An agreement on a key, with a toy in the place of Kerberos."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.hooks.gss.exchange import MOST_ROUNDS, Status, TkeyExchange
from pyd2.hooks.gss.gssapi import GssError
from tests.gss.test_tkey import reply
from tests.gss.toy import WALL, Client, Recorder, Server, finish, ids, tkey_answer

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "1234.sig-ns.example.org."


def make(
    context: Client | None = None, recorder: Recorder | None = None, opened: Callable[[], Any] | None = None,
) -> tuple[TkeyExchange, Recorder]:
    """Return an agreement and what it logs."""
    kept = recorder or Recorder()
    client = context or Client()
    made = TkeyExchange(NAME, WALL, 3600, opened or (lambda: client), kept.emit, kept.count, ids())
    return made, kept


def test_one_round_trip_makes_a_key() -> None:
    exchange, kept = make()
    server = Server()
    finish(exchange, lambda message: tkey_answer(NAME, message, server))
    assert exchange.status is Status.SUCCESS
    assert kept.entries == [
        "TKEY_EXCHANGE_SEND_MESSAGE", "TKEY_EXCHANGE_RECEIVE_MESSAGE", "TKEY_EXCHANGE_VALID",
        "GSS_TSIG_VERIFIED", "TKEY_EXCHANGE_VERIFIED",
    ]
    assert kept.counted == ["tkey-sent", "tkey-success"]


def test_further_rounds_send_the_server_s_tokens_on() -> None:
    client, server = Client(rounds=3), Server()
    exchange, kept = make(client)
    finish(exchange, lambda message: tkey_answer(NAME, message, server, b"to " + message[:2]))
    assert exchange.status is Status.SUCCESS
    assert client.tokens == [b"", b"to \0\1", b"to \0\2", b"to \0\3"]
    assert kept.counted == ["tkey-sent"] * 3 + ["tkey-success"]


def test_a_server_that_never_ends_is_left() -> None:
    exchange, kept = make(Client(rounds=1000))
    server = Server()
    finish(exchange, lambda message: tkey_answer(NAME, message, server))
    assert exchange.status is Status.OTHER
    assert kept.counted == ["tkey-sent"] * MOST_ROUNDS + ["tkey-error"]


def test_credentials_that_cannot_be_had_end_it_before_a_message() -> None:
    def opened() -> Client:
        raise GssError("no keytab")

    exchange, kept = make(opened=opened)
    assert exchange.begin() is None
    assert exchange.status is Status.BAD_CREDENTIALS
    assert kept.texts == ["BAD_CLIENT_CREDENTIALS no keytab"]
    assert kept.counted == ["tkey-error"]


def test_a_ticket_shorter_than_the_key_s_life_is_refused() -> None:
    client, server = Client(), Server()
    client.seconds = 3599
    exchange, kept = make(client)
    finish(exchange, lambda message: tkey_answer(NAME, message, server))
    assert exchange.status is Status.BAD_CREDENTIALS
    assert kept.texts[-1] == "BAD_CLIENT_CREDENTIALS too short credential lifetime: 3599 < 3600"


def test_an_answer_that_is_not_signed_is_no_key() -> None:
    exchange, kept = make()
    finish(exchange, lambda message: reply(NAME, b"t", query_id=message[1]).to_wire())
    assert exchange.status is Status.UNSIGNED_RESPONSE
    assert kept.entries[-1] == "TKEY_EXCHANGE_FAIL_NOT_SIGNED"
    assert kept.counted == ["tkey-sent", "tkey-error"]


def test_an_answer_that_another_has_signed_is_no_key() -> None:
    exchange, kept = make()
    server = Server(b"another secret")
    finish(exchange, lambda message: tkey_answer(NAME, message, server))
    assert exchange.status is Status.UNSIGNED_RESPONSE
    assert kept.entries[-2:] == ["GSS_TSIG_VERIFY_FAILED", "TKEY_EXCHANGE_FAILED_TO_VERIFY"]


def test_the_library_s_faults_end_it() -> None:
    class Broken(Client):
        def step(self, token: bytes) -> tuple[bytes, bool]:
            raise GssError(f"gss_init_sec_context failed with {token!r}")

    exchange, kept = make(Broken())
    assert exchange.begin() is None
    assert exchange.status is Status.OTHER
    assert kept.texts == ["TKEY_EXCHANGE_FAIL_TO_INIT gss_init_sec_context failed with b''"]


def test_a_client_without_a_token_ends_it() -> None:
    class Silent(Client):
        def step(self, token: bytes) -> tuple[bytes, bool]:
            return b"", bool(token)

    exchange, kept = make(Silent())
    assert exchange.begin() is None
    assert exchange.status is Status.INVALID_RESPONSE
    assert kept.entries == ["TKEY_EXCHANGE_FAIL_EMPTY_OUT_TOKEN"]


def test_silence_is_not_a_broken_connection() -> None:
    exchange, kept = make()
    exchange.begin()
    exchange.timed_out()
    assert (exchange.status, kept.counted) == (Status.TIMEOUT, ["tkey-sent", "tkey-timeout"])
    exchange, kept = make()
    exchange.begin()
    exchange.io_failed("Connection refused")
    assert (exchange.status, kept.counted) == (Status.OTHER, ["tkey-sent", "tkey-error"])
    assert kept.texts[-1] == "TKEY_EXCHANGE_FAIL_IO_ERROR Connection refused"


def _rcode(number: dns.rcode.Rcode) -> bytes:
    answer = reply(NAME, b"")
    answer.answer.clear()
    answer.set_rcode(number)
    return answer.to_wire()


def _with_address() -> bytes:
    answer = reply(NAME, b"")
    answer.answer = [dns.rrset.from_text(NAME, 60, "IN", "A", "192.0.2.1")]
    return answer.to_wire()


@pytest.mark.parametrize(("answer", "said"), [
    (b"", ["TKEY_EXCHANGE_FAIL_EMPTY_RESPONSE"]),
    (b"\0\1\x80", ["TKEY_EXCHANGE_FAIL_RESPONSE_ERROR Malformed DNS message (short length): 3"]),
    (_rcode(dns.rcode.NOTAUTH), ["TKEY_EXCHANGE_FAIL_RESPONSE_ERROR NOTAUTH"]),
    (_rcode(dns.rcode.NOERROR), ["TKEY_EXCHANGE_FAIL_WRONG_RESPONSE_ANSWER_COUNT 0"]),
    (_with_address(), ["TKEY_EXCHANGE_ANSWER_CLASS IN", "TKEY_EXCHANGE_FAIL_WRONG_RESPONSE_ANSWER_TYPE A"]),
    (reply(NAME, b"t", error=17).to_wire(), ["TKEY_EXCHANGE_FAIL_TKEY_ERROR 17"]),
    (reply(NAME, b"").to_wire(), []),
    (reply(NAME, b"").to_wire()[:2] + b"\x28" + reply(NAME, b"").to_wire()[3:],
     ["TKEY_EXCHANGE_NOT_A_RESPONSE", "TKEY_EXCHANGE_FAIL_WRONG_RESPONSE_OPCODE UPDATE"]),
])
def test_an_answer_without_a_token_ends_it_and_is_described(answer: bytes, said: list[str]) -> None:
    exchange, kept = make()
    exchange.begin()
    assert exchange.receive(answer, WALL) is None
    assert exchange.status is Status.INVALID_RESPONSE
    received = [] if not answer else [f"TKEY_EXCHANGE_RECEIVE_MESSAGE {len(answer)}"]
    assert kept.texts[1:] == [*received, *said, "TKEY_EXCHANGE_FAIL_EMPTY_IN_TOKEN"]
    assert kept.counted == ["tkey-sent", "tkey-error"]
    assert exchange.problem


def test_an_answer_that_does_not_fit_into_a_datagram_says_what_to_do() -> None:
    exchange, _ = make()
    exchange.begin()
    answer = bytearray(_rcode(dns.rcode.NOERROR))
    answer[2] |= 2
    assert exchange.receive(bytes(answer), WALL) is None
    assert "tkey-protocol TCP" in exchange.problem


@given(st.lists(st.one_of(st.binary(max_size=80), st.just(reply(NAME, b"token").to_wire())), max_size=4))
def test_whatever_a_server_says_there_is_no_key_without_its_signature(answers: list[bytes]) -> None:
    exchange, kept = make(Client(rounds=2))
    message = exchange.begin()
    for answer in answers:
        if message is None:
            break
        message = exchange.receive(answer, WALL)
    if message is None:
        assert exchange.status not in {None, Status.SUCCESS}
        assert kept.counted.count("tkey-error") == 1
    else:
        assert exchange.status is None


@given(st.data())
def test_no_octet_of_a_signed_answer_can_be_changed_unseen(data: st.DataObject) -> None:
    exchange, _ = make()
    message = exchange.begin()
    assert message is not None
    answer = bytearray(tkey_answer(NAME, message, Server()))
    at = data.draw(st.integers(2, len(answer) - 1))
    answer[at] ^= data.draw(st.integers(1, 255))
    exchange.receive(bytes(answer), WALL)
    # Names are compared without regard to case, and the client's part ignores its token's content.
    if exchange.status is Status.SUCCESS:
        assert bytes(answer).lower() == tkey_answer(NAME, message, Server()).lower()


def test_each_message_has_its_own_query_id() -> None:
    sent: list[bytes] = []
    server = Server()

    def answer(message: bytes) -> bytes:
        sent.append(message)
        return tkey_answer(NAME, message, server)

    exchange, _ = make(Client(rounds=3))
    finish(exchange, answer)
    assert all(first[:2] != second[:2] for first, second in pairwise(sent))
    assert all(dns.message.from_wire(message).question[0].name.to_text() == NAME for message in sent)
