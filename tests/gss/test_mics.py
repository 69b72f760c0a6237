"""The MICs that C makes for a context are those of libgssapi, and C believes those of libgssapi alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.gss.test_gssapi import run
from tests.kit.kerberos import REALM, Realm, realm

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.peers

ENCRYPTIONS = {
    "aes128-cts-hmac-sha1-96": 28, "aes256-cts-hmac-sha1-96": 28, "aes128-cts-hmac-sha256-128": 32,
    "aes256-cts-hmac-sha384-192": 40,
}
"""The encryption types whose MICs C makes, with the octets of each."""
OTHERS = {"camellia128-cts-cmac": 32, "camellia256-cts-cmac": 32, "arcfour-hmac": 37}

_COUNTED = """
    from hypothesis import given, settings
    from hypothesis import strategies as st
    from pyd2.errors import GssCallError
    from pyd2.packets import contexts
    from pyd2.packets.contexts import NativeContext
    from pyd2.packets.wire import ffi
    from pyd2.hooks.gss import signers

    calls = []
    real = gssapi.functions()

    def counted(name):
        kind = dict(ffi.typeof("wire_gss").fields)[name].type
        function = ffi.cast(kind, real[name])

        def call(*arguments):
            calls.append(name)
            return function(*arguments)

        return ffi.callback(kind, call)

    kept = {name: counted(name) for name in ("get_mic", "verify_mic")}
    signers.functions = lambda: real | {
        name: int(ffi.cast("uintptr_t", function)) for name, function in kept.items()}

    def agreed(flags):
        credential = Credential(CLIENT, KEYTAB, "MEMORY:own")
        context = SecurityContext(credential, SERVICE, flags)
        acceptor = Acceptor()
        token, established = context.step(b"")
        answer = acceptor.accept(token)
        if not established:
            assert context.step(answer)[1]
        signer = signers.make_signer(context, bytes((1, 107, 0)), 2**40, bounded=bool(flags & Flags.REPLAY))
        return signer, acceptor

    def refused(verify, *arguments):
        try:
            verify(*arguments)
        except GssError as error:
            return error
        raise AssertionError(arguments)

    MESSAGES = st.binary(max_size=600)
    WRONG = st.tuples(st.integers(0, 10**6), st.integers(0, 7))

    def spoilt(octets, place):
        changed = bytearray(octets)
        changed[place[0] % len(octets)] ^= 1 << place[1]
        return bytes(changed)
"""


@pytest.fixture(scope="module")
def kdc() -> Iterator[Realm]:
    with realm() as running:
        _allow_rc4(running)
        kinds = " ".join((*ENCRYPTIONS, *OTHERS))
        running.kadmin(f'setstr krbtgt/{REALM} session_enctypes "{kinds}"')
        _add(running, "client", *ENCRYPTIONS, *OTHERS)
        for name in (*ENCRYPTIONS, *OTHERS):
            _add(running, name, name)
        yield running


def _allow_rc4(kdc: Realm) -> None:
    file = kdc.directory / "krb5.conf"
    file.write_text(file.read_text().replace("[libdefaults]", "[libdefaults]\n    allow_rc4 = true"))
    kdc.process.stop()
    kdc.start()


def _add(kdc: Realm, name: str, *encryptions: str) -> None:
    """Add a principal with keys of these encryption types, and its keytab."""
    salted = ",".join(f"{encryption}:normal" for encryption in encryptions)
    kdc.kadmin(f"addprinc -randkey -e {salted} {name}@{REALM}")
    kdc.keytab(f"{name}@{REALM}", f"{name}.keytab")


def of_type(kdc: Realm, encryption: str, code: str) -> None:
    """Run code in a process whose contexts have this encryption type."""
    own = kdc.directory / f"{encryption}.conf"
    own.write_text(f"[libdefaults]\n    permitted_enctypes = {encryption}\n")
    names = f"""
    KEYTAB, CLIENT = "FILE:{kdc.directory}/client.keytab", "client@{REALM}"
    SERVICE = "{encryption}@{REALM}"
    """
    run(kdc, names + _COUNTED + code, KRB5_CONFIG=f"{own}:{kdc.directory}/krb5.conf",
        KRB5_KTNAME=f"FILE:{kdc.directory}/{encryption}.keytab")


@pytest.mark.parametrize("subkey", [True, False], ids=["the acceptor's key", "the initiator's key"])
@pytest.mark.parametrize("encryption", ENCRYPTIONS)
def test_each_side_believes_the_other_s_mics_and_no_others(kdc: Realm, encryption: str, subkey: bool) -> None:
    """The acceptor is libgssapi; it gives the context a key of its own if it proves itself, too."""
    of_type(kdc, encryption, f"""
    flags = Flags.INTEGRITY | Flags.REPLAY | (Flags.MUTUAL if {subkey} else 0)

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.tuples(MESSAGES, MESSAGES, WRONG), min_size=2, max_size=30), st.randoms())
    def check(plan, random):
        signer, acceptor = agreed(flags)
        calls.clear()
        numbers = []
        answers = []
        for question, answer, place in plan:
            mic, number = signer.sign(question)
            assert (len(mic), mic[2]) == ({ENCRYPTIONS[encryption]}, 4 if {subkey} else 0)
            numbers.append(int.from_bytes(mic[8:16], "big"))
            refused(acceptor.verify_mic, question, spoilt(mic, place))
            acceptor.verify_mic(question, mic)
            signer.end(number)
            answers.append((answer, acceptor.get_mic(answer)))
        assert numbers == [*range(numbers[0], numbers[0] + len(plan))]
        assert calls == ["get_mic"]  # the first one
        random.shuffle(answers)
        for (answer, mic), (_, _, place) in zip(answers, plan):
            signer.verify(answer, mic)
            assert refused(signer.verify, answer, mic).major == 2  # a duplicate
        assert calls == ["get_mic"]
        for (answer, mic), (question, _, place) in zip(answers, plan):
            refused(signer.verify, answer, spoilt(mic, place))
            refused(signer.verify, answer + b"x", mic)
            own = signer.sign(question)[0]
            assert "wrong direction" in str(refused(signer.verify, question, own))
        assert calls == ["get_mic"] + ["verify_mic"] * 3 * len(plan)

    check()
    """)


@pytest.mark.parametrize("encryption", [next(iter(ENCRYPTIONS)), "aes256-cts-hmac-sha384-192"])
def test_what_is_refused_for_its_number_is_what_libgssapi_refuses(kdc: Realm, encryption: str) -> None:
    """The same tokens in the same order to C and to libgssapi, from an acceptor of each.

    None comes 64 or more ahead of all before: then libgssapi (1.21) shifts a number of 64 bits by more than
    these, and takes for copies what has never come.
    """
    of_type(kdc, encryption, """
    def outcome(verify, *arguments):
        try:
            verify(*arguments)
        except GssError as error:
            return error.major
        return 0

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.integers(-70, 63), min_size=1, max_size=60))
    def check(steps):
        sides = []
        for fast in (True, False):
            signer, acceptor = agreed(Flags.INTEGRITY | Flags.REPLAY | Flags.MUTUAL)
            if fast:
                signer.sign(b"first")
            sides.append((signer, acceptor, []))
        newest = -1
        for step in steps:
            number = max(0, newest + step)
            newest = max(number, newest)
            outcomes = []
            for signer, acceptor, mics in sides:
                while len(mics) <= number:
                    mics.append(acceptor.get_mic(b"answer"))
                outcomes.append(outcome(signer.verify, b"answer", mics[number]))
            assert outcomes[0] == outcomes[1], (number, outcomes)

    check()
    """)


@pytest.mark.parametrize("flags", ["Flags.REPLAY | Flags.SEQUENCE", "Flags.SEQUENCE"])
def test_where_the_order_counts_libgssapi_makes_all(kdc: Realm, flags: str) -> None:
    of_type(kdc, next(iter(ENCRYPTIONS)), f"""
    signer, acceptor = agreed(Flags.INTEGRITY | Flags.MUTUAL | {flags})
    for _ in range(3):
        acceptor.verify_mic(b"question", signer.sign(b"question")[0])
        signer.verify(b"answer", acceptor.get_mic(b"answer"))
    assert calls == ["get_mic", "verify_mic"] * 3
    """)


def test_without_anti_replay_copies_are_believed(kdc: Realm) -> None:
    of_type(kdc, next(iter(ENCRYPTIONS)), """
    signer, acceptor = agreed(Flags.INTEGRITY | Flags.MUTUAL)
    signer.sign(b"question")
    mic = acceptor.get_mic(b"answer")
    for _ in range(3):
        signer.verify(b"answer", mic)
    assert calls == ["get_mic"]
    """)


@pytest.mark.parametrize("encryption", OTHERS)
def test_of_other_encryption_types_libgssapi_makes_all(kdc: Realm, encryption: str) -> None:
    of_type(kdc, encryption, f"""
    signer, acceptor = agreed(Flags.INTEGRITY | Flags.MUTUAL | Flags.REPLAY)
    for _ in range(3):
        mic, _ = signer.sign(b"question")
        assert len(mic) == {OTHERS[encryption]}, mic
        acceptor.verify_mic(b"question", mic)
        signer.verify(b"answer", acceptor.get_mic(b"answer"))
    assert calls == ["get_mic", "verify_mic"] * 3
    """)
