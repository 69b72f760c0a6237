"""The example libraries do what their texts say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyd2.config.model import HookLibrary
from pyd2.data.element import Plain, from_plain
from pyd2.dns.reply import parse_reply
from pyd2.dns.tsig import HmacKey
from pyd2.errors import HookError, ReplyError
from pyd2.hooks.choice import check_libraries
from pyd2.hooks.python_chain import PythonChain
from tests.kit.dnswire import append_tsig, parse, sign

from .conftest import SERVER, config
from .examples import CONFIGURED, EXAMPLES, KEY, ask, check_audit, check_maintenance, server

if TYPE_CHECKING:

    from pathlib import Path

    from .conftest import Load, RecordingLog

def example(name: str, parameters: Plain = None) -> HookLibrary:
    return HookLibrary(str(EXAMPLES / name), None if parameters is None else from_plain(parameters))


def test_all_examples_pass_the_check(log: RecordingLog) -> None:
    examples = sorted(EXAMPLES.glob("*.py"))
    assert len(examples) == 7
    assert check_libraries([HookLibrary(str(path), None) for path in examples], log) == []


def test_key_per_server(load: Load) -> None:
    entry: Plain = {"name": "Site-A", "algorithm": "HMAC-SHA512", "secret": "bm90IHZlcnkgc2VjcmV0"}
    chain = load(example("key_per_server.py", {"keys": {"192.0.2.1": entry}, "unsigned": ["192.0.2.9"]}))
    chosen = ask(chain, "192.0.2.1").key
    assert chosen is not None
    assert (chosen.name, chosen.algorithm) == ("site-a.", "hmac-sha512.")
    assert ask(chain, "192.0.2.1").key is chosen
    assert ask(chain, "192.0.2.9").key is None
    assert ask(chain, "192.0.2.2").key is KEY


def test_key_per_server_knows_an_address_however_it_is_spelt(load: Load) -> None:
    chain = load(example("key_per_server.py", {"unsigned": ["2001:DB8:0::1"]}))
    assert ask(chain, "2001:db8::1").key is None


def test_key_per_server_refuses_what_is_no_address(load: Load, log: RecordingLog) -> None:
    with pytest.raises(HookError):
        load(example("key_per_server.py", {"unsigned": ["ns1"]}))
    assert "'ns1' does not appear to be an IPv4 or IPv6 address" in "\n".join(log.lines())


@pytest.mark.parametrize(("entry", "reason"), [
    ({"name": "a."}, "reason the key for 192.0.2.1 has no algorithm, secret"),
    ({"name": "a.", "algorithm": "x", "secret": ""}, "reason Unknown TSIG Key algorithm: x"),
])
def test_key_per_server_refuses_bad_parameters(
    load: Load, log: RecordingLog, entry: Plain, reason: str,
) -> None:
    with pytest.raises(HookError):
        load(example("key_per_server.py", {"keys": {"192.0.2.1": entry}}))
    assert log.lines()[0].endswith(reason)


def test_require_keys(load: Load) -> None:
    chain = load(example("require_keys.py"))
    signed = SERVER._replace(key=CONFIGURED)
    assert chain.configured(config(signed), from_plain({})) == (True, "")
    assert chain.configured(config(signed, server("192.0.2.7"), server("2001:db8::1")), from_plain({})) == (
        False, "no TSIG key for 192.0.2.7 of example.com., 2001:db8::1 of example.com.",
    )


def test_maintenance(load: Load) -> None:
    chain = load(example("maintenance.py", {"servers": ["192.0.2.9"]}))
    check_maintenance(chain, {}, {"servers": 7}, {"servers": ["here"]})


def test_audit(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    check_audit(
        load, example("key_per_server.py", {"unsigned": ["192.0.2.9"]}),
        example("maintenance.py", {"servers": ["192.0.2.9"]}), example("audit.py", {"file": str(path)}), path,
    )


@pytest.mark.parametrize(("parameters", "reason"), [
    (None, "the parameter file is missing"), ({"file": "/"}, "cannot open /: Is a directory"),
])
def test_audit_refuses_a_file_that_cannot_be_written(
    load: Load, log: RecordingLog, parameters: Plain, reason: str,
) -> None:
    with pytest.raises(HookError):
        load(example("audit.py", parameters))
    assert log.lines()[0].endswith(f"reason {reason}")


def test_http_token(log: RecordingLog) -> None:
    parameters: Plain = {"tokens": {"monitor": "s3cret"}, "commands": ["status-get"]}
    chain = PythonChain([example("http_token.py", parameters)], log)
    refusal = from_plain({"status": 401, "headers": {}, "body": {}})

    def enter(authorization: str, command: str) -> tuple[Plain, Plain, Plain]:
        """Return the user, the response of http_auth, and the headers of the response to the command."""
        request = from_plain({
            "method": "POST", "path": "/", "version": "1.1", "headers": {"authorization": authorization},
            "body": {"command": command}, "remote-address": "::1", "user": "", "tls": False,
        })
        use = chain.http_use()
        assert use is not None
        request, response = use.auth(request, refusal)
        answer = use.response(request, from_plain({"status": 200, "headers": {}, "body": []}))
        use.end()
        status = None if response is None else response.map_value()["status"].plain()
        return request.map_value()["user"].plain(), status, answer.map_value()["headers"].plain()

    assert enter("Basic s3cret", "status-get") == ("", 401, {})
    assert enter("Bearer wrong", "status-get") == ("", 401, {})
    assert enter("Bearer s3cret", "shutdown") == ("", 403, {})
    headers = {"X-Client": "monitor", "Cache-Control": "no-store"}
    assert enter("bearer s3cret", "status-get") == ("monitor", None, headers)
    chain.unload()
    with pytest.raises(HookError):
        PythonChain([example("http_token.py", {"tokens": {}})], log)


def test_signer(load: Load, tmp_path: Path) -> None:
    """The secret of the file at the time of each update; its reply is judged by the same."""
    secret = tmp_path / "secret"
    chain = load(example("signer.py", {"name": "Rolling.", "secret-file": str(secret)}))
    key = ask(chain, "192.0.2.1").key
    assert key is not None
    assert (key.name, key.algorithm) == ("rolling.", "hmac-sha256.")
    with pytest.raises(HookError, match=r"key rolling\. has no secret"):
        key.create_context()
    for octets in (b"first", b"second"):
        secret.write_bytes(octets)
        context = key.create_context()
        secret.write_bytes(b"changed")
        twin = HmacKey("rolling.", "HMAC-SHA256", octets).create_context()
        signed = context.sign(bytes(12), 4711, 1_700_000_000)
        assert signed == twin.sign(bytes(12), 4711, 1_700_000_000)
        assert len(signed) - 12 <= context.length
        message = parse(signed)
        assert message.tsig is not None
        reply = signed[:2] + bytes(10)
        answer = append_tsig(reply, sign(octets, message.tsig, reply, message.tsig.mac))
        context.verify(answer, parse_reply(answer).tsig, 1_700_000_000)
        forged = answer[:3] + bytes([answer[3] ^ 1]) + answer[4:]
        with pytest.raises(ReplyError, match="BADSIG"):
            context.verify(forged, parse_reply(forged).tsig, 1_700_000_000)


@pytest.mark.parametrize(("parameters", "reason"), [
    ({"name": "rolling."}, "reason the parameter secret-file is missing"),
    ({"name": "rolling.", "secret-file": "/run/x", "algorithm": "x"}, "reason Unknown TSIG Key algorithm: x"),
])
def test_signer_refuses_bad_parameters(
    load: Load, log: RecordingLog, parameters: dict[str, Plain], reason: str,
) -> None:
    with pytest.raises(HookError):
        load(example("signer.py", parameters))
    assert log.lines()[0].endswith(f": {reason}")
