"""Contexts in C number their MICs as those in Python do, and go when nothing uses them any more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.errors import GssCallError
from pyd2.hooks.gss.keys import MOST_SPAN, NEARLY_FULL
from pyd2.hooks.gss.signers import NativeSigner, PythonSigner, ServerSigners, Signer
from pyd2.packets.contexts import NativeContexts
from pyd2.packets.wire import lib
from tests.gss.native_toy import ToyGss
from tests.gss.toy import WALL, Client, Server

NAME = b"\1k\0"


def test_the_limits_are_those_of_python() -> None:
    assert (lib.WIRE_SPAN_MAX, lib.WIRE_SPAN_NEARLY_FULL) == (MOST_SPAN, NEARLY_FULL)


@given(st.lists(st.integers(0, 100), max_size=300))
def test_spans_are_those_of_python(plan: list[int]) -> None:
    toy = ToyGss()
    native = toy.context(Client(), NAME, WALL)
    signers: list[Signer] = [NativeSigner(native), PythonSigner(Client())]
    under_way: list[int] = []
    for place in plan:
        if place < 60 and signers[1].span() <= MOST_SPAN:
            (_, number), (_, other) = (signer.sign(b"message") for signer in signers)
            assert number == other
            under_way.append(number)
        elif under_way:
            number = under_way.pop(place % len(under_way))
            for signer in signers:
                signer.end(number)
        assert signers[0].span() == signers[1].span()
    assert toy.unreleased == {}


def test_what_is_too_far_ahead_is_not_counted() -> None:
    context = ToyGss().context(Client(), NAME, WALL)
    numbers = [context.sign(b"")[1] for _ in range(70)]
    assert numbers == [*range(64), *[-1] * 6]
    context.end(-1)
    for number in numbers[:63]:
        context.end(number)
    assert context.span() == 7
    context.end(63)
    assert (context.span(), context.sign(b"")[1]) == (0, 70)


def test_without_anti_replay_nothing_is_counted() -> None:
    context = ToyGss().context(Client(), NAME, WALL, bounded=False)
    assert [context.sign(b"")[1] for _ in range(3)] == [-1, -1, -1]
    assert context.span() == 0


def test_a_context_signs_and_verifies() -> None:
    context, server = ToyGss().context(Client(), NAME, WALL), Server()
    mic, _ = context.sign(b"question")
    server.verify_mic(b"question", mic)
    context.verify(b"answer", answer := server.get_mic(b"answer"))
    with pytest.raises(GssCallError) as raised:
        context.verify(b"answer", answer)
    assert (raised.value.major, raised.value.minor) == (2, 0)


def test_a_call_that_fails_leaves_no_number() -> None:
    toy = ToyGss()
    context = toy.context(Client(), NAME, WALL)
    toy.fails = 12 << 16
    with pytest.raises(GssCallError) as raised:
        context.sign(b"")
    assert (raised.value.major, raised.value.minor) == (12 << 16, 7)
    assert context.span() == 0
    toy.fails = 0
    assert context.sign(b"")[1] == 0


def test_a_context_is_deleted_when_nothing_uses_it() -> None:
    toy = ToyGss()
    contexts = NativeContexts()
    contexts.set([toy.context(Client(), NAME, WALL), toy.context(Client(), NAME, WALL)])
    assert toy.deleted == []
    contexts.set([])
    assert sorted(toy.deleted) == [1, 2]
    kept = toy.context(Client(), NAME, WALL)
    contexts.set([kept])
    del contexts
    assert 3 not in toy.deleted
    del kept
    assert 3 in toy.deleted


def test_contexts_are_full_when_all_that_may_sign_are() -> None:
    toy = ToyGss()
    first, second = (toy.context(Client(), NAME, WALL) for _ in range(2))
    contexts = NativeContexts()
    contexts.set([first])
    for _ in range(NEARLY_FULL):
        first.sign(b"")
    assert (contexts.full(0), contexts.wants_another(), contexts.wants_another()) == (False, True, False)
    for _ in range(NEARLY_FULL, MOST_SPAN + 1):
        first.sign(b"")
    assert contexts.full(0)
    assert not contexts.full(WALL)  # it has expired
    contexts.set([second, first])
    assert not contexts.full(0)
    contexts.set([])
    assert not contexts.full(0)


def test_signers_without_c_leave_c_alone() -> None:
    signers = ServerSigners()
    signers.set([PythonSigner(Client())])
    assert (signers.contexts, signers.settle()) == (None, False)
    native = NativeSigner(ToyGss().context(Client(), NAME, WALL))
    signers.set([native, PythonSigner(Client())])
    assert signers.contexts is not None
    _, number = native.sign(b"")
    native.end(number)
    assert native.native.span() == 1
    signers.settle()
    assert native.native.span() == 0
