"""The example libraries in C and C++ do what their texts say: the same as those in Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.message
import dns.name
import dns.tsig
import pytest

from pyd2.config.model import HookLibrary
from pyd2.data.element import Plain, from_plain
from pyd2.dns.reply import parse_reply
from pyd2.dns.tsig import HmacKey
from pyd2.errors import HookError, ReplyError
from tests.hooks.conftest import config
from tests.hooks.examples import EXAMPLES, KEY, ask, check_audit, check_maintenance, command
from tests.kit.c_libraries import compile_library

from .test_keys import NOW, unsigned

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.hooks.conftest import Load, RecordingLog

    Example = Callable[..., HookLibrary]

needs_cplusplus = pytest.mark.peers
"""The compiler for C++ is installed with the peers, for Kea's libraries."""
LIBRARIES = {"signer.c": ("-lcrypto",)}
"""What examples link with, besides libc."""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Return a function that compiles an example, once."""
    directory = tmp_path_factory.mktemp("examples")

    def compiled(name: str) -> str:
        path = directory / f"{name}.so"
        if not path.exists():
            # Libraries stand behind what needs them.
            compile_library(EXAMPLES / name, path, "-O2", "-Wl,--no-as-needed", *LIBRARIES.get(name, ()))
        return str(path)

    return compiled


@pytest.fixture
def example(compiled: Callable[[str], str]) -> Example:
    def example(name: str, parameters: Plain = None) -> HookLibrary:
        return HookLibrary(compiled(name), None if parameters is None else from_plain(parameters))

    return example


def test_every_example_is_here() -> None:
    present = {path.name for suffix in ("c", "cpp") for path in EXAMPLES.glob(f"*.{suffix}")}
    assert present == {
        "audit.c", "avoid.c", "key_per_server.c", "maintenance.cpp", "require_keys.c", "signer.c",
    }


def test_key_per_server(load: Load, example: Example) -> None:
    entry: Plain = {"name": "Site-A", "algorithm": "HMAC-SHA512", "secret": "bm90IHZlcnkgc2VjcmV0"}
    chain = load(example("key_per_server.c", {"keys": {"192.0.2.1": entry}, "unsigned": ["192.0.2.9"]}))
    chosen = ask(chain, "192.0.2.1").key
    assert chosen is not None
    assert (chosen.name, chosen.algorithm) == ("site-a.", "hmac-sha512.")
    assert ask(chain, "192.0.2.9").key is None
    assert ask(chain, "192.0.2.2").key is KEY


@pytest.mark.parametrize(("parameters", "reason"), [
    ({"keys": {"192.0.2.1": {"name": "a."}}}, "the key for 192.0.2.1: there is no /keys/192.0.2.1/algorithm"),
    ({"keys": {"192.0.2.1": {"name": "a.", "algorithm": "x", "secret": ""}}},
     "the key for 192.0.2.1: Unknown TSIG Key algorithm: x"),
    ({"unsigned": [7]}, "the key for ?: string is expected, not integer"),
])
def test_key_per_server_refuses_bad_parameters(
    load: Load, log: RecordingLog, example: Example, parameters: Plain, reason: str,
) -> None:
    with pytest.raises(HookError):
        load(example("key_per_server.c", parameters))
    assert log.lines()[0].endswith(f": {reason}")


def test_require_keys(load: Load, example: Example) -> None:
    chain = load(example("require_keys.c"))

    def judge(*servers: dict[str, Plain], key_name: str = "") -> tuple[bool, str]:
        domain: Plain = {"name": "example.com.", "key-name": key_name, "dns-servers": list(servers)}
        key: Plain = {"name": "k.", "algorithm": "HMAC-MD5", "secret": "MDEy"}
        return chain.configured(config(), from_plain({
            "tsig-keys": [key], "forward-ddns": {"ddns-domains": [domain]},
            "reverse-ddns": {"ddns-domains": []},
        }))

    def entry(address: str, key_name: str) -> dict[str, Plain]:
        return {"hostname": "", "ip-address": address, "port": 53, "key-name": key_name}

    signed, *bare = entry("192.0.2.1", "k."), entry("192.0.2.7", ""), entry("2001:db8::1", "")
    assert judge(signed) == (True, "")
    assert judge(*bare, key_name="k.") == (True, "")
    assert judge(signed, *bare) == (
        False, "no TSIG key for 192.0.2.7 of example.com., 2001:db8::1 of example.com.",
    )
    refused, text = judge(*bare * 100)
    assert not refused
    assert len(text) == 4095


@needs_cplusplus
def test_maintenance(load: Load, example: Example) -> None:
    chain = load(example("maintenance.cpp", {"servers": ["192.0.2.9"]}))
    check_maintenance(chain, {}, {"servers": 7}, {"servers": [7]})
    assert command(chain, "maintenance-set", servers=['"here"']) == {
        "result": 1, "text": "'servers' must be a list of addresses: '\"here\"' is no address",
    }


@needs_cplusplus
def test_maintenance_refuses_bad_parameters(load: Load, log: RecordingLog, example: Example) -> None:
    """An exception of C++ ends in the library, as the header says."""
    with pytest.raises(HookError):
        load(example("maintenance.cpp", {"servers": ["here"]}))
    assert log.lines()[0].endswith(": 'here' is no address")


@needs_cplusplus
def test_audit(load: Load, example: Example, tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    check_audit(
        load, example("key_per_server.c", {"unsigned": ["192.0.2.9"]}),
        example("maintenance.cpp", {"servers": ["192.0.2.9"]}), example("audit.c", {"file": str(path)}), path,
    )


@pytest.mark.parametrize(("parameters", "reason"), [
    (None, "the parameter file is missing"), ({"file": "/"}, "cannot open /: Is a directory"),
])
def test_audit_refuses_a_file_that_cannot_be_written(
    load: Load, log: RecordingLog, example: Example, parameters: Plain, reason: str,
) -> None:
    with pytest.raises(HookError):
        load(example("audit.c", parameters))
    assert log.lines()[0].endswith(f": {reason}")


def test_signer(load: Load, example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret of the file at the time of each update; its reply is judged by the same."""
    monkeypatch.setattr("dns.message.time.time", lambda: NOW)
    secret = tmp_path / "secret"
    chain = load(example("signer.c", {"name": "Rolling.", "secret-file": str(secret)}))
    key = ask(chain, "192.0.2.1").key
    assert key is not None
    assert (key.name, key.algorithm) == ("rolling.", "hmac-sha256.")
    with pytest.raises(HookError, match="cannot begin a message"):
        key.create_context()
    name = dns.name.from_text("rolling.")
    for octets in (b"first", b"second \0 and longer than the block of the hash, so that it is hashed itself"):
        secret.write_bytes(octets)
        context = key.create_context()
        secret.write_bytes(b"changed")
        wire = context.sign(unsigned(0), 4711, NOW)
        twin = HmacKey("rolling.", "HMAC-SHA256", octets)
        assert wire == twin.create_context().sign(unsigned(0), 4711, NOW)
        request = dns.message.from_wire(wire, keyring={name: dns.tsig.Key(name, octets)})
        reply = dns.message.make_response(request)
        reply.use_tsig(dns.tsig.Key(name, octets))
        answer = reply.to_wire()
        context.verify(answer, parse_reply(answer).tsig, NOW)
        forged = answer[:3] + bytes([answer[3] ^ 1]) + answer[4:]
        with pytest.raises(ReplyError, match="BADSIG"):
            context.verify(forged, parse_reply(forged).tsig, NOW)


def test_signer_refuses_a_missing_parameter(load: Load, log: RecordingLog, example: Example) -> None:
    with pytest.raises(HookError):
        load(example("signer.c", {"name": "rolling."}))
    assert log.lines()[0].endswith(": there is no /secret-file")
