"""Questions by the batch: C makes them and judges their answers; what it cannot judge is left to Python."""

from __future__ import annotations

from ipaddress import ip_address
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from pyd2.dns.question import Found, encode_question, what_is_found
from pyd2.packets.compiled import CompiledKey
from pyd2.packets.packed import PackedRequest
from pyd2.update.inflight.contract import FOUND, JUDGE, Turn
from pyd2.update.inflight.native import NativeTries
from pyd2.update.inflight.python import PythonTries
from pyd2.update.model.route import ALONE
from pyd2.update.model.transaction import BatchTry
from pyd2.update.server.lane import Lane
from tests.kit.dnswire import append_tsig, parse, sign
from tests.packets.answers import KEY, SECRET, WALL, body, dhcid_record
from tests.packets.layers import COMPILED
from tests.update.support import datagram, request

if TYPE_CHECKING:
    from pyd2.dns.tsig import SigningKey
    from pyd2.update.model.plan import Server
    from pyd2.update.model.route import Route

TURN = Turn(1.0, WALL, 0.5, 0, goes_on=True)
UDP = cast("Server", SimpleNamespace(tcp=False))
ANSWERS = [
    (3, [], Found.FREE), (0, [], Found.WITHOUT), (0, [dhcid_record(b"\0\1\1own")], Found.OURS),
    (0, [dhcid_record(b"\0\1\1other")], Found.OTHERWISE), (2, [], Found.UNKNOWN),
    (0, [dhcid_record(b"\0\1\1own"), dhcid_record(b"\0\1\1other")], Found.OTHERWISE),
]
JUDGED_IN_C = 4
"""So many of these."""


class Asking(BatchTry):
    """A question for a name."""

    __slots__ = ("ncr", "route")

    then = ALONE
    feeds_window = False

    def __init__(self, fqdn: str, key: SigningKey | None, route: Route) -> None:
        (found,) = COMPILED.read_requests([datagram(request(fqdn=fqdn, dhcid=b"\0\1\1own".hex()))], None)
        assert isinstance(found, PackedRequest)
        self.ncr = found
        self.route = route
        self.number = -1
        self.key = key
        self.context = None


def signed(unsigned: bytes, question: bytes) -> bytes:
    """Return an answer as a server gives it: signed if its question is."""
    asked = parse(question).tsig
    answer = question[:2] + unsigned[2:]
    return answer if asked is None else append_tsig(answer, sign(SECRET, asked, answer, asked.mac))


@pytest.mark.parametrize("key", [None, CompiledKey(KEY.name, "HMAC-SHA256", SECRET, 0)])
@pytest.mark.parametrize("long", [False, True])
def test_questions_are_made_and_answers_judged(long: bool, key: CompiledKey | None) -> None:
    """A request that is long is not kept in C: then it does not know what was asked for."""
    tries = NativeTries()
    lane = Lane(ip_address("127.0.0.1"), 53, tries.new_window())
    route = tries.question_route(UDP, key)
    rest = ".".join(["x" * 61] * 3) if long else "x"
    questions = [Asking(f"h{number}.{rest}.example.com.", key, route) for number in range(len(ANSWERS))]
    assert tries.send(lane, questions, TURN) == []
    posted = tries.posted(lane)
    for question, outgoing in zip(questions, posted, strict=True):
        message = parse(outgoing.message)
        assert message.unsigned[2:] == encode_question(question.ncr.fqdn_wire)[2:]
        assert (message.tsig is None) == (key is None)
    assert (lane.window.in_flight, tries.in_flight) == (len(ANSWERS), len(ANSWERS))
    datagrams = [
        signed(body(question.ncr.fqdn_wire, rcode, records), outgoing.message)
        for question, outgoing, (rcode, records, _) in zip(questions, posted, ANSWERS, strict=True)
    ]
    events = tries.read_replies(lane, 0, datagrams, TURN)
    assert (lane.window.in_flight, tries.in_flight) == (0, 0)
    assert [event[0] for event in events] == questions
    assert [code for _, code, _ in events].count(FOUND) == (0 if long else JUDGED_IN_C)
    for (question, code, more), (_, _, found) in zip(events, ANSWERS, strict=True):
        if code == FOUND:
            assert more is found
        else:
            assert code == JUDGE
            ncr = question.ncr
            assert what_is_found(more, ncr.fqdn_wire, ncr.dhcid, question.context, WALL) is found


def test_where_c_cannot_ask_questions_go_alone() -> None:
    """Over TCP, with keys that sign in Python, and before tries in Python."""
    tries = NativeTries()
    assert tries.question_route(cast("Server", SimpleNamespace(tcp=True)), None) is ALONE
    assert tries.question_route(UDP, KEY) is ALONE
    assert PythonTries().question_route(UDP, None) is ALONE
