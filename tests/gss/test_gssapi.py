"""GSS-API by libgssapi_krb5, with a real KDC."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from tests.kit.kerberos import CLIENT, DNS_SERVICE, Realm, realm
from tests.kit.waiting import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.peers

_ACCEPT = """
    import ctypes, sys
    from ctypes import byref, c_uint32, c_void_p
    from pyd2.hooks.gss import gssapi
    from pyd2.hooks.gss.gssapi import Credential, Flags, GssError, SecurityContext

    class Acceptor(SecurityContext):
        '''The server's side, whose credentials are in KRB5_KTNAME.'''

        def __init__(self):
            self._handle = c_void_p()
            self._library = gssapi.library()

        def accept(self, token):
            minor, out = c_uint32(), gssapi._Buffer()
            call = ctypes.CDLL(gssapi.FILE).gss_accept_sec_context
            call.argtypes = [c_void_p] * 11
            major = call(byref(minor), byref(self._handle), None, byref(gssapi._octets(token)), None, None,
                         None, byref(out), None, None, None)
            if major > 1:
                raise self._library.error("gss_accept_sec_context", major, minor.value)
            return self._library.take(out)

    FLAGS = Flags.MUTUAL | Flags.INTEGRITY

    def agree(context):
        acceptor = Acceptor()
        token, established = context.step(b"")
        assert not established
        token, established = context.step(acceptor.accept(token))
        assert established
        return acceptor
"""


@pytest.fixture(scope="module")
def kdc() -> Iterator[Realm]:
    with realm() as running:
        yield running


def run(realm_: Realm, code: str, **environment: str) -> str:
    """Run code in a process of its own, since libkrb5 reads its configuration from the environment."""
    env = os.environ | realm_.environment | {"KRB5_KTNAME": realm_.server_keytab} | environment
    text = textwrap.dedent(_ACCEPT) + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", text], env=env, capture_output=True, text=True,
                          timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_both_sides_verify_each_other_s_mics_and_no_others(kdc: Realm) -> None:
    run(kdc, f"""
        credential = Credential({CLIENT!r}, {kdc.client_keytab!r}, "MEMORY:own")
        assert 35000 < credential.lifetime <= 36000, credential.lifetime
        assert credential.principal() == {CLIENT!r}
        context = SecurityContext(credential, {DNS_SERVICE!r}, Flags.MUTUAL | Flags.INTEGRITY | Flags.REPLAY)
        acceptor = agree(context)
        assert 35000 < context.lifetime() <= 36000
        mics = [context.get_mic(b"message \\0 %d" % number) for number in range(70)]
        assert len(mics[0]) == 28
        for number in (1, 0, *range(2, 69)):
            acceptor.verify_mic(b"message \\0 %d" % number, mics[number])
        context.verify_mic(b"reply", acceptor.get_mic(b"reply"))
        for wrong, text in (
            (lambda: acceptor.verify_mic(b"another", mics[69]), "invalid Message Integrity Check"),
            (lambda: acceptor.verify_mic(b"message \\0 68", mics[68]), "duplicate"),
            (lambda: context.verify_mic(b"message \\0 69", mics[69]), "wrong direction"),
        ):
            try:
                wrong()
            except GssError as error:
                assert text in str(error), error
                assert str(error).startswith("gss_verify_mic failed with GSSAPI error: Major = '"), error
            else:
                raise AssertionError(text)
    """)


def test_a_mic_behind_64_later_ones_is_refused_and_one_behind_63_is_not(kdc: Realm) -> None:
    run(kdc, f"""
        for behind in (63, 64):
            credential = Credential({CLIENT!r}, {kdc.client_keytab!r}, "MEMORY:own")
            context = SecurityContext(credential, {DNS_SERVICE!r}, FLAGS | Flags.REPLAY)
            acceptor = agree(context)
            first = context.get_mic(b"first")
            for number in range(behind):
                acceptor.verify_mic(b"later", context.get_mic(b"later"))
            try:
                acceptor.verify_mic(b"first", first)
                assert behind == 63
            except GssError as error:
                assert behind == 64, error
    """)


def test_the_first_principal_of_a_keytab_is_taken_if_none_is_named(kdc: Realm) -> None:
    run(kdc, f"""
        assert Credential("", {kdc.client_keytab!r}, "MEMORY:none").principal() == {CLIENT!r}
    """)


def test_the_tickets_of_a_cache_are_used_without_a_keytab(kdc: Realm) -> None:
    kdc.kinit()
    run(kdc, f"""
        agree(SecurityContext(None, {DNS_SERVICE!r}, Flags.MUTUAL | Flags.INTEGRITY))
        cache = "FILE:{kdc.directory}/ccache"
        agree(SecurityContext(Credential("", "", cache), {DNS_SERVICE!r}, Flags.MUTUAL | Flags.INTEGRITY))
    """)


@pytest.mark.parametrize(("code", "text"), [
    ("Credential('DHCP/other@EXAMPLE.TEST', KEYTAB, 'MEMORY:other')", "gss_acquire_cred failed with"),
    ("Credential(CLIENT, 'FILE:/nonexistent', 'MEMORY:missing')", "gss_acquire_cred failed with"),
    ("SecurityContext(Credential(CLIENT, KEYTAB, 'MEMORY:a'), 'DNS/no@EXAMPLE.TEST', Flags.MUTUAL).step(b'')",
     ("gss_init_sec_context failed with GSSAPI error: Major = 'Unspecified GSS failure.  Minor code may "
      "provide more information' (851968), Minor = 'Server DNS/no@EXAMPLE.TEST not found in Kerberos "
      "database'")),
])
def test_errors_have_kea_s_words(kdc: Realm, code: str, text: str) -> None:
    output = run(kdc, f"""
        CLIENT, KEYTAB = {CLIENT!r}, {kdc.client_keytab!r}
        try:
            {code}
        except GssError as error:
            print(error)
    """)
    assert output.startswith(text)


def test_a_missing_library_says_what_to_install() -> None:
    code = """
        from pyd2.hooks.gss import gssapi
        gssapi.FILE = "libgssapi_krb5.so.999"
        try:
            gssapi.library()
        except gssapi.GssError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True,
                          timeout=TIMEOUT, check=True)
    assert "libgssapi_krb5.so.999" in done.stdout
    assert "libgssapi-krb5-2" in done.stdout


def test_a_context_in_c_signs_and_verifies(kdc: Realm) -> None:
    run(kdc, f"""
        from pyd2.hooks.gss.signers import NativeSigner, make_signer

        credential = Credential({CLIENT!r}, {kdc.client_keytab!r}, "MEMORY:own")
        context = SecurityContext(credential, {DNS_SERVICE!r}, Flags.MUTUAL | Flags.INTEGRITY | Flags.REPLAY)
        acceptor = agree(context)
        signer = make_signer(context, bytes((1, 107, 0)), 2**40, bounded=True)
        assert isinstance(signer, NativeSigner)
        for number in range(100):
            mic, given = signer.sign(b"question %d" % number)
            assert given == number
            acceptor.verify_mic(b"question %d" % number, mic)
            answer = acceptor.get_mic(b"answer %d" % number)
            signer.verify(b"answer %d" % number, answer)
            signer.end(given)
        try:
            signer.verify(b"answer 99", answer)
        except GssError as error:
            assert str(error).startswith("gss_verify_mic failed with GSSAPI error: Major = '"), error
            assert "duplicate" in str(error).lower(), error
        else:
            raise AssertionError("a copy was believed")
        try:
            signer.verify(b"another answer", acceptor.get_mic(b"answer"))
        except GssError as error:
            assert error.major >> 16 == 6, error
        else:
            raise AssertionError("a wrong MIC was believed")
        del context, signer
    """)
