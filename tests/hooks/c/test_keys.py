"""Keys that libraries in C make: shared secrets, and signers of their own, checked by dnspython."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dns.message
import dns.name
import dns.tsig
import dns.update
import pytest

from pyd2.dns.reply import parse_reply
from pyd2.dns.tsig import HmacKey, SigningKey
from pyd2.errors import HookError, ReplyError
from tests.hooks.conftest import SERVER

from .conftest import with_counters
from .test_loading import is_mapped

if TYPE_CHECKING:
    from pyd2.hooks.interface import Chain
    from tests.hooks.conftest import Load, RecordingLog, Write

    from .conftest import Counters, WriteC

NOW = 1_800_000_000


def chosen(chain: Chain, key: SigningKey | None = None) -> SigningKey:
    """Return the key that the libraries choose."""
    assert chain.select_key is not None
    found = chain.select_key(SERVER, key).key
    assert found is not None
    return found


SET_KEY = """
    static pyd2_hook_key *key;
    static int callout(pyd2_hook_callout *callout, void *user)
    {
        (void)user;
        return api->set_tsig_key(callout, key);
    }
"""


def test_a_key_with_a_secret(load: Load, write: Write, write_c: WriteC, log: RecordingLog) -> None:
    """It signs as the configuration's would, and Python sees it as one."""
    chain = load(
        write_c(SET_KEY + """
            static int start(void)
            {
                pyd2_hook_text secret = T(" MDEyMzQ1Njc4 OWFiY2RlZg== ");
                return api->key_new(self, T("Own.Key"), T("hmac-SHA256"), secret, 128, &key)
                     | api->register_callout(self, T("select_key"), callout, NULL);
            }
        """),
        write("""
            def load(handle):
                global log
                log = handle.log
            def select_key(handle):
                key = handle.get_argument("tsig_key")
                log.info(f"{key.name} {key.algorithm}")
        """),
    )
    log.said()
    key, twin = chosen(chain), HmacKey("own.key.", "hmac-sha256", b"0123456789abcdef", 128)
    assert log.said() == ["own.key. hmac-sha256."]
    message = bytes(range(12)) + b"body"
    assert key.create_context().sign(message, 9, NOW) == twin.create_context().sign(message, 9, NOW)


def test_keys_seen_and_set_in_c(load: Load, write: Write, write_c: WriteC, log: RecordingLog) -> None:
    """Python's key in C, C's own, null; what is set can be read in the same callout."""
    chain = load(
        write("""
            from pyd2.hooks import TsigKey
            key = TsigKey("python.", "HMAC-SHA512", b"secret")
            def select_key(handle): handle.set_argument("tsig_key", key)
        """),
        write_c("""
            static void show(const char *what, pyd2_hook_callout *callout)
            {
                const pyd2_hook_key *key;
                pyd2_hook_text name = { "none", 4 }, algorithm = { "", 0 };
                if (api->tsig_key(callout, &key) != PYD2_HOOK_OK)
                    say("failed");
                if (key != NULL && (api->key_name(key, &name) != PYD2_HOOK_OK
                                    || api->key_algorithm(key, &algorithm) != PYD2_HOOK_OK))
                    say("failed");
                say("%s %s %s", what, name.data, algorithm.data);
            }
            static int callout(pyd2_hook_callout *callout, void *user)
            {
                const pyd2_hook_key *seen;
                pyd2_hook_key *own;
                (void)user;
                show("at first", callout);
                if (api->tsig_key(callout, &seen) != PYD2_HOOK_OK
                    || api->set_tsig_key(callout, NULL) != PYD2_HOOK_OK)
                    return 1;
                show("null", callout);
                if (api->key_new(self, T("C"), T("HMAC-MD5"), T("MDEy"), 0, &own) != PYD2_HOOK_OK
                    || api->set_tsig_key(callout, own) != PYD2_HOOK_OK)
                    return 2;
                show("own", callout);
                if (api->key_release(self, own) != PYD2_HOOK_OK)
                    return 3;
                show("released", callout);
                outcome("again", api->key_release(self, own));
                outcome("again", api->set_tsig_key(callout, own));
                show("still", callout);
                if (counters() != NULL)
                    return api->set_tsig_key(callout, seen);
                return 0;
            }
            static int start(void) { return api->register_callout(self, T("select_key"), callout, NULL); }
        """),
    )
    log.said()
    assert chosen(chain).name == "c."
    md5 = "hmac-md5.sig-alg.reg.int."
    assert log.said() == [
        "at first python. hmac-sha512.", "null none ", f"own c. {md5}", f"released c. {md5}",
        "again -2 this library has no such key, or released it",
        "again -2 there is no such key: it has ended, or it never was one",
        f"still c. {md5}",
    ]


def test_a_lent_key_can_be_set_again(load: Load, write_c: WriteC) -> None:
    chain = load(write_c("""
        static int callout(pyd2_hook_callout *callout, void *user)
        {
            const pyd2_hook_key *seen;
            (void)user;
            return api->tsig_key(callout, &seen) | api->set_tsig_key(callout, NULL)
                 | api->set_tsig_key(callout, seen);
        }
        static int start(void) { return api->register_callout(self, T("select_key"), callout, NULL); }
    """))
    configured = HmacKey("config.", "HMAC-SHA256", b"0123456789abcdef")
    assert chosen(chain, configured) is configured


def test_more_keys_than_are_remembered(load: Load, write_c: WriteC, log: RecordingLog) -> None:
    """Which the glue does for speed only."""
    chain = load(write_c("""
        static pyd2_hook_key *keys[600];
        static int next;
        static int callout(pyd2_hook_callout *callout, void *user)
        {
            (void)user;
            return api->set_tsig_key(callout, keys[next++]);
        }
        static int start(void)
        {
            int i;
            char name[16];
            for (i = 0; i < 600; i++) {
                snprintf(name, sizeof name, "k%d", i);
                if (api->key_new(self, T(name), T("HMAC-MD5"), T("MDEy"), 0, &keys[i]) != PYD2_HOOK_OK)
                    return 1;
            }
            return api->register_callout(self, T("select_key"), callout, NULL);
        }
    """))
    assert [chosen(chain).name for _ in range(600)] == [f"k{number}." for number in range(600)]


WRONG_KEYS = """
    static int nothing(void *u, void *c, const uint8_t *d, size_t n, uint8_t *m, size_t *s)
    { (void)u; (void)c; (void)d; (void)n; (void)m; (void)s; return 0; }
    static int never(void *u, void *c, const uint8_t *d, size_t n, const uint8_t *m, size_t s)
    { (void)u; (void)c; (void)d; (void)n; (void)m; (void)s; return 0; }
    static void release(void *user) { ++*(int *)user; }
    static int start(void)
    {
        pyd2_hook_signer signer = { sizeof signer, 0, NULL, nothing, never, NULL, release };
        pyd2_hook_key *key = NULL;
        outcome("algorithm", api->key_new(self, T("k"), T("HMAC-SHA3"), T("MDEy"), 0, &key));
        outcome("name", api->key_new(self, T("k..k"), T("HMAC-MD5"), T("MDEy"), 0, &key));
        outcome("secret", api->key_new(self, T("k"), T("HMAC-MD5"), T("?"), 0, &key));
        outcome("secret", api->key_new(self, T("k"), T("HMAC-MD5"), T(NULL), 0, &key));
        outcome("out", api->key_new(self, T("k"), T("HMAC-MD5"), T("MDEy"), 0, NULL));
        outcome("mac", api->signer_new(self, T("k"), T("own"), &signer, counters(), &key));
        signer.mac_size = 4097;
        outcome("mac", api->signer_new(self, T("k"), T("own"), &signer, counters(), &key));
        signer.mac_size = 16;
        outcome("name", api->signer_new(self, T("..k"), T("own"), &signer, counters(), &key));
        outcome("algorithm", api->signer_new(self, T("k"), T("o..wn"), &signer, counters(), &key));
        signer.size = 8;
        outcome("size", api->signer_new(self, T("k"), T("own"), &signer, counters(), &key));
        signer.size = sizeof signer;
        signer.verify = NULL;
        outcome("function", api->signer_new(self, T("k"), T("own"), &signer, counters(), &key));
        outcome("signer", api->signer_new(self, T("k"), T("own"), NULL, counters(), &key));
        say("%d", key == NULL);
        return 0;
    }
"""


def test_what_makes_no_key(load: Load, write_c: WriteC, log: RecordingLog, counters: Counters) -> None:
    """And what of a signer that was refused is not released."""
    load(write_c(WRONG_KEYS, with_counters(counters)))
    said = log.said()
    assert all(line.split()[1] == "-1" for line in said[:-1])
    assert [line.split(" -1 ")[-1] for line in said] == [
        "Unknown TSIG Key algorithm: HMAC-SHA3", "duplicate period in k..k", said[2].split(" -1 ")[1],
        "the secret of key k is empty", "key is a null pointer", "a MAC of 0 octets is not possible",
        "a MAC of 4097 octets is not possible", said[7].split(" -1 ")[1], "duplicate period in o..wn",
        "signer->size is 8, which no version of this structure has", "signer->verify is a null pointer",
        "signer is a null pointer", "1",
    ]
    assert said[2].startswith("secret -1 the secret of key k is not base64")
    assert counters[0] == 0


# A signer of its own. Its MAC is worth nothing, but depends on each octet: FNV-1a over a secret and the data.

SECRET = b"toy secret"

SIGNER = """
    /* counters: begun, ended, released, what sign returns, octets that it claims, what begin returns */
    static uint64_t hash(const uint8_t *data, size_t length)
    {
        static const char secret[] = "toy secret";
        uint64_t value = UINT64_C(14695981039346656037);
        size_t i;
        for (i = 0; i < sizeof secret - 1; i++)
            value = (value ^ (uint8_t)secret[i]) * UINT64_C(1099511628211);
        for (i = 0; i < length; i++)
            value = (value ^ data[i]) * UINT64_C(1099511628211);
        return value;
    }
    struct message { int *counters; int signatures; };
    static int begin(void *user, void **context)
    {
        int *n = user;
        struct message *message;
        if (n[5] != 0)
            return n[5];
        message = malloc(sizeof *message);
        message->counters = n;
        message->signatures = 0;
        ++n[0];
        *context = message;
        return 0;
    }
    static int sign(void *user, void *context, const uint8_t *data, size_t length, uint8_t *mac,
                    size_t *mac_length)
    {
        int *n = user;
        uint64_t value = hash(data, length);
        struct message *message = context;
        if (*mac_length != 20 || message->counters != n || ++message->signatures != 1)
            return 99;
        memcpy(mac, &value, sizeof value);
        *mac_length = n[4] != 0 ? (size_t)n[4] : sizeof value;
        return n[3];
    }
    static int verify(void *user, void *context, const uint8_t *data, size_t length, const uint8_t *mac,
                      size_t mac_length)
    {
        uint64_t value = hash(data, length);
        struct message *message = context;
        if (message->counters != user)
            return 99;
        return mac_length == sizeof value && memcmp(mac, &value, sizeof value) == 0 ? 0 : 16;
    }
    static void end(void *user, void *context) { ++((int *)user)[1]; free(context); }
    static void release(void *user) { ++((int *)user)[2]; }
    static int start(void)
    {
        pyd2_hook_signer signer = { sizeof signer, 20, begin, sign, verify, end, release };
        if (api->signer_new(self, T("Toy.Key"), T("GSS-TSIG"), &signer, counters(), &key) != PYD2_HOOK_OK)
            return 1;
        memset(&signer, 0, sizeof signer); /* it was copied */
        return api->register_callout(self, T("select_key"), callout, NULL);
    }
"""


def toy_mac(data: bytes) -> bytes:
    value = 14695981039346656037
    for octet in SECRET + data:
        value = (value ^ octet) * 1099511628211 & 0xFFFFFFFFFFFFFFFF
    return value.to_bytes(8, "little")


class Toy:
    """The other side of the toy, in the form in which dnspython takes GSS-TSIG contexts."""

    def __init__(self) -> None:
        self.data = b""

    def get_signature(self, data: bytes) -> bytes:
        return toy_mac(data)

    def verify_signature(self, data: bytes, mac: bytes) -> None:
        if toy_mac(data) != mac:
            raise ValueError("the MAC is wrong")


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[dns.name.Name, dns.tsig.Key]:
    """The keys for dnspython, which signs and verifies at NOW."""
    monkeypatch.setattr("dns.message.time.time", lambda: NOW)
    name = dns.name.from_text("toy.key.")
    secret: Any = Toy()  # for GSS-TSIG the secret is what signs
    return {name: dns.tsig.Key(name, secret, dns.tsig.GSS_TSIG)}


def unsigned(qid: int) -> bytes:
    message = dns.update.UpdateMessage("example.com.", id=qid)
    message.add("host", 300, "A", "192.0.2.1")
    return message.to_wire()


def reply_to(request: dns.message.Message, key: dns.tsig.Key) -> bytes:
    reply = dns.message.make_response(request)
    reply.use_tsig(key)
    return reply.to_wire()


def test_a_signer_signs_and_verifies(
    load: Load, write_c: WriteC, counters: Counters, keyring: dict[dns.name.Name, dns.tsig.Key],
) -> None:
    """What it signs dnspython verifies, and the reverse; what was changed on the way neither takes."""
    chain = load(write_c(SET_KEY + SIGNER, with_counters(counters)))
    key = chosen(chain)
    assert (key.name, key.algorithm) == ("toy.key.", "gss-tsig.")
    context = key.create_context()
    wire = context.sign(unsigned(0), 4711, NOW)
    request = dns.message.from_wire(wire, keyring=keyring)
    assert request.had_tsig
    assert (request.id, request.keyname) == (4711, dns.name.from_text("toy.key."))
    assert len(wire) <= len(unsigned(0)) + context.length
    with pytest.raises(dns.tsig.BadSignature):
        dns.message.from_wire(wire[:30] + bytes([wire[30] ^ 1]) + wire[31:], keyring=keyring)
    reply = reply_to(request, keyring[dns.name.from_text("toy.key.")])
    context.verify(reply, parse_reply(reply).tsig, NOW)
    forged = reply[:3] + bytes([reply[3] ^ 1]) + reply[4:]
    with pytest.raises(ReplyError, match="BADSIG"):
        context.verify(forged, parse_reply(forged).tsig, NOW)
    context.verify(reply, parse_reply(reply).tsig, NOW)
    with pytest.raises(ReplyError, match="BADTIME"):
        context.verify(reply, parse_reply(reply).tsig, NOW + 301)
    with pytest.raises(ReplyError, match="FORMERR"):
        context.verify(reply, None, NOW)
    assert counters[:3] == [1, 0, 0]
    del context
    assert counters[:3] == [1, 1, 0]


def test_a_key_and_its_library_outlive_the_unloading(
    load: Load, write_c: WriteC, counters: Counters, keyring: dict[dns.name.Name, dns.tsig.Key],
) -> None:
    """As long as a request is on its way; then all is released, in order, and the library leaves memory."""
    entry = write_c(SET_KEY + SIGNER, with_counters(counters))
    chain = load(entry)
    key = chosen(chain)
    context = key.create_context()
    wire = context.sign(unsigned(0), 1, NOW)
    chain.unload()
    assert is_mapped(entry.library)
    again = load(entry)
    again.unload()
    assert counters[:3] == [1, 0, 1]  # the second load made a key of its own
    request = dns.message.from_wire(wire, keyring=keyring)
    reply = reply_to(request, keyring[dns.name.from_text("toy.key.")])
    context.verify(reply, parse_reply(reply).tsig, NOW)
    del key
    assert counters[:3] == [1, 0, 1]
    del context
    assert counters[:3] == [1, 1, 2]
    assert not is_mapped(entry.library)


@pytest.mark.parametrize(("slot", "value", "reason"), [
    (3, 5, "key toy.key. cannot sign: error 5"),
    (3, -5, "key toy.key. cannot sign: error -5"),
    (4, 21, "key toy.key. made a MAC of 21 octets; 20 are the most"),
    (5, 7, "key toy.key. cannot begin a message: error 7"),
])
def test_a_signer_that_fails(
    load: Load, write_c: WriteC, counters: Counters, slot: int, value: int, reason: str,
) -> None:
    """The update is not sent; a context that did not begin does not end."""
    key = chosen(load(write_c(SET_KEY + SIGNER, with_counters(counters))))
    counters[slot] = value
    with pytest.raises(HookError) as caught:
        key.create_context().sign(unsigned(0), 1, NOW)
    assert str(caught.value) == reason
    del caught
    assert counters[0] == counters[1] == (slot != 5)


def test_a_signer_may_leave_out_what_it_does_not_need(load: Load, write_c: WriteC) -> None:
    chain = load(write_c(SET_KEY + """
        static int sign(void *user, void *context, const uint8_t *data, size_t length, uint8_t *mac,
                        size_t *mac_length)
        {
            (void)data; (void)length;
            memset(mac, 7, *mac_length);
            return user == NULL && context == NULL ? 0 : 1;
        }
        static int verify(void *user, void *context, const uint8_t *data, size_t length, const uint8_t *mac,
                          size_t mac_length)
        {
            (void)user; (void)context; (void)data; (void)length; (void)mac; (void)mac_length;
            return -1;
        }
        static int start(void)
        {
            pyd2_hook_signer signer = { sizeof signer, 3, NULL, sign, verify, NULL, NULL };
            return api->signer_new(self, T("k"), T("a"), &signer, NULL, &key)
                 | api->register_callout(self, T("select_key"), callout, NULL);
        }
    """))
    context = chosen(chain).create_context()
    wire = context.sign(unsigned(0), 1, NOW)
    tsig = parse_reply(wire).tsig
    assert tsig is not None
    assert tsig.mac == b"\7\7\7"
    with pytest.raises(ReplyError, match="BADSIG"):
        context.verify(wire, tsig, NOW)
