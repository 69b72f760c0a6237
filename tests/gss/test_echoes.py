"""Refusals whose signature is a copy of the request's: counted, and explained once a minute."""

from __future__ import annotations

import struct
import time

import pytest
from dns.rdataclass import IN
from dns.rdatatype import DHCID

from pyd2.dns.reply import read_reply
from pyd2.errors import BadReply, ReplyError
from pyd2.hooks.gss.echoes import QUIET, Echoes
from pyd2.hooks.gss.keys import KeyRing
from pyd2.messages import OWN_MESSAGES
from pyd2.tools import gss_tsig
from tests.gss.test_keys import World
from tests.gss.test_keys import _echo as echo
from tests.gss.test_parameters import parse, server
from tests.gss.toy import WALL, Recorder


def test_each_kind_is_explained_once_a_minute_and_counted_meanwhile() -> None:
    log = Recorder()
    now = [float(WALL)]
    echoes = Echoes(log, lambda: now[0])  # type: ignore[arg-type]
    ring = KeyRing(parse({"servers": [server()]}).servers[0], log, lambda: now[0])  # type: ignore[arg-type]
    for _ in range(5):
        echoes.note(ring, 5)
    echoes.note(ring, 4)
    now[0] += QUIET
    echoes.note(ring, 5)
    assert [text.split()[:6] for text in log.texts] == [
        ["PYD2_GSS_TSIG_ECHO", "192.0.2.1", "port", "53", rcode, first]
        for rcode, first in (("REFUSED", "the"), ("NOTIMP", "the"), ("REFUSED", "the"))
    ]
    assert "DnsUpdateProxy" in log.texts[0]
    assert "takes no DHCID" in log.texts[1]
    assert all("takes it for a bad reply" in text for text in log.texts)
    assert [text.split()[-1] for text in log.texts] == ["0", "0", "4"]
    assert OWN_MESSAGES["PYD2_GSS_TSIG_ECHO"].text.count("%") == 5


def test_what_is_believed_is_said_so() -> None:
    log = Recorder()
    echoes = Echoes(log, lambda: float(WALL))  # type: ignore[arg-type]
    entry = parse({"servers": [server()]}).servers[0]
    ring = KeyRing(entry, log, lambda: float(WALL), believes_echoes=True)  # type: ignore[arg-type]
    echoes.note(ring, 7)
    echoes.note(ring, 0)
    assert "pyd2 believes it" in log.texts[0]
    assert "takes it for a bad reply" in log.texts[1]


def test_they_are_no_wrong_signatures() -> None:
    """So that a server that takes no DHCIDs is recognised by them."""
    world = World()
    key = world.add()
    (context, message), (_, other) = world.send(key), world.send(key)
    for reply, reason in ((echo(message, 4), BadReply.ECHO), (world.reply(other), BadReply.BADSIG)):
        with pytest.raises(ReplyError) as caught:
            read_reply(reply, context, WALL)
        assert caught.value.reason is reason


def test_the_check_says_what_they_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    agreed = gss_tsig._Agreed(world.add(), world.ring.server)

    def answer(rcode: int) -> None:
        monkeypatch.setattr(gss_tsig, "ask", lambda _server, message: echo(message, rcode))

    answer(5)
    with pytest.raises(gss_tsig._Failed, match="which does not exist, with REFUSED"):
        gss_tsig._check_policy(agreed, "example.org.")
    assert not gss_tsig._refuses_dhcids(agreed, "example.org.")
    answer(4)
    assert not gss_tsig._refuses_dhcids(agreed, "example.org.")  # it takes no other records, either
    answer(0)
    with pytest.raises(gss_tsig._Failed, match="BADSIG"):
        gss_tsig._check_policy(agreed, "example.org.")


def test_the_check_knows_a_server_that_refuses_dhcids_only(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    agreed = gss_tsig._Agreed(world.add(), world.ring.server)

    def ask(_server: object, message: bytes) -> bytes:
        return echo(message, 4) if struct.pack("!HH", DHCID, IN) in message else world.reply(message)

    monkeypatch.setattr(gss_tsig, "ask", ask)
    monkeypatch.setattr(time, "time", lambda: float(WALL))
    assert gss_tsig._refuses_dhcids(agreed, "example.org.")


def test_the_check_knows_a_server_whose_trouble_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    agreed = gss_tsig._Agreed(world.add(), world.ring.server)
    asked = []

    def ask(_server: object, message: bytes) -> bytes:
        asked.append(message)
        return echo(message, 2) if len(asked) == 1 else world.reply(message)

    monkeypatch.setattr(gss_tsig, "ask", ask)
    monkeypatch.setattr(time, "time", lambda: float(WALL))
    assert not gss_tsig._refuses_dhcids(agreed, "example.org.")
