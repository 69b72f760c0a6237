"""Tokens, their places, and the faults of single tokens. Kea is the oracle in test_against_kea_files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyd2.config.lexer import END, MAX_FILE_SIZE, STRING, Lexer, Token
from pyd2.errors import ConfigSyntaxError

if TYPE_CHECKING:
    from collections.abc import Mapping

NONE: Mapping[str, str] = {}


def lexer(text: bytes | str, **included: bytes) -> Lexer:
    files = {"f": text.encode() if isinstance(text, str) else text} | included

    def read(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    return Lexer("f", read)


def tokens(text: bytes | str, **included: bytes) -> list[tuple[str, object, str]]:
    """Return the kind, value and place of each token up to the end."""
    source = lexer(text, **included)
    result: list[tuple[str, object, str]] = []
    while (token := source.next(NONE)).kind != END:
        result.append((token.kind, token.value, source.place(token)))
    return result


def fault(text: bytes | str, **included: bytes) -> str:
    with pytest.raises(ConfigSyntaxError) as caught:
        tokens(text, **included)
    return str(caught.value)


def test_kinds_and_places() -> None:
    assert tokens('{ "a" :\n [-1, 1.5e1,true\t,null ]}') == [
        ("{", None, "f:1.1"),
        (STRING, "a", "f:1.3-5"),
        (":", None, "f:1.7"),
        ("[", None, "f:2.2"),
        ("integer", -1, "f:2.3-4"),
        ('","', None, "f:2.5"),
        ("floating point", 15.0, "f:2.7-11"),
        ('","', None, "f:2.12"),
        ("boolean", True, "f:2.13-16"),
        ('","', None, "f:2.18"),
        ("null", None, "f:2.19-22"),
        ("]", None, "f:2.24"),
        ("}", None, "f:2.25"),
    ]


def test_columns_count_bytes() -> None:
    assert tokens('"\u20ac" 1') == [(STRING, "\u20ac", "f:1.1-5"), ("integer", 1, "f:1.7")]


def test_a_comment_before_a_token_belongs_to_its_place() -> None:
    assert tokens("1/* c */2") == [("integer", 1, "f:1.1"), ("integer", 2, "f:1.2-9")]
    assert tokens("1/* c  */2")[1] == ("integer", 2, "f:1.8-10")
    assert tokens("1/* c */ 2")[1] == ("integer", 2, "f:1.10")
    assert tokens("1# c\n2// c\n/*\n*/3")[1:] == [("integer", 2, "f:2.1"), ("integer", 3, "f:4.1-3")]


def test_keywords_are_strings_elsewhere() -> None:
    source = lexer('"port" "PORT" "p\\u006frt" "udp" "Udp"')
    keywords = {"port": "port", "UDP": "UDP"}
    kinds = [source.next(keywords).kind for _ in range(5)]
    assert kinds == ["port", STRING, STRING, "UDP", "UDP"]
    assert lexer('"port"').next(NONE) == Token(STRING, "port", 1, 1, 7)


@settings(deadline=None)
@given(st.binary())
def test_escapes_give_any_bytes(data: bytes) -> None:
    text = "".join(f"\\u00{byte:02x}" for byte in data)
    (token,) = tokens(f'"{text}"')
    assert token[1] == data.decode("utf-8", "surrogateescape")


@settings(deadline=None)
@given(st.binary().map(lambda data: bytes(byte for byte in data if byte >= 0x20 and byte not in b'"\\')))
def test_raw_strings_are_kept(data: bytes) -> None:
    (token,) = tokens(b'"' + data + b'"')
    assert str(token[1]).encode("utf-8", "surrogateescape") == data


def test_included_files() -> None:
    assert tokens('1 <?include "a"?>2', a=b' 3 <?include\n"b" ?>\n4', b=b"5") == [
        ("integer", 1, "f:1.1"),
        ("integer", 3, "a:1.2"),
        ("integer", 5, "b:1.1"),
        ("integer", 4, "a:3.1"),
        ("integer", 2, "f:1.13-18"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n x", "f:2.2: Invalid character: x"),
        ("<?x", "f:1.1-3: Invalid character: x"),
        ("<?include x", "f:1.11: Invalid character: x"),
        ("<?include", "Directive not closed."),
        ('<?include "nothere"?>', "Can't open include file nothere"),
        ('<?include "a" x', "f:1.15: Invalid character: x"),
        ('<?include "a"', "Directive not closed."),
        ('<?include "f"?>', "Too many nested include."),
        ("\n/* *", "Comment not closed. (/* in line 2"),
        ("TRUE", "f:1.1-4: JSON true reserved keyword is lower case only"),
        ("-", "f:1.1: Failed to convert - to a floating point."),
        ("1e999", "f:1.1-5: Failed to convert 1e999 to a floating point."),
        ("9223372036854775808", "f:1.1-19: Failed to convert 9223372036854775808 to an integer."),
        ('"a\\u0100"', 'f:1.1-9 (near 4): Unsupported unicode escape in "a\\u0100"'),
        ('"ab\tc"', 'f:1.1-6 (near 3): Invalid control in "ab\tc"'),
        ('"ab\0c"', 'f:1.1-6 (near 2): Invalid control in "ab'),
        ('"a\\x"', 'f:1.1-5 (near 3): Bad escape in "a\\x"'),
        ('"\\x\\" ', 'f:1.1-5 (near 2): Bad escape in "\\x\\"...'),
        ('"a\\"', 'f:1.1-4 (near 4): Overflow escape in "a\\"'),
        ('"a\\u12"', 'f:1.1-7 (near 3): Overflow unicode escape in "a\\u12"'),
        ('"a', 'f:1.1: Invalid character: "'),
    ],
)
def test_faults(text: str, message: str) -> None:
    assert fault(text, a=b"") == message


def test_eleven_files_may_be_open_but_no_more() -> None:
    def chain(last: int) -> dict[str, bytes]:
        return {f"f{n}": b'<?include "f%d"?>' % (n + 1) for n in range(1, last)} | {f"f{last}": b"7"}

    assert tokens('<?include "f1"?>', **chain(11)) == [("integer", 7, "f11:1.1")]
    assert fault('<?include "f1"?>', **chain(12)) == "Too many nested include."


def test_numbers_of_any_length_cost_little() -> None:
    digits = "9" * 1_000_000
    assert fault(digits) == f"f:1.1-1000000: Failed to convert {digits} to an integer."
    assert tokens("0" * 1_000_000 + "7")[0][1] == 7
    assert tokens("-" + "0" * 10)[0][1] == 0


@pytest.mark.parametrize("size", [MAX_FILE_SIZE + 1])
def test_endless_files_are_refused(size: int) -> None:
    assert fault(b" " * size) == f"f has more than {MAX_FILE_SIZE} bytes"


def test_directories_are_no_files() -> None:
    def read(path: str) -> bytes:
        raise IsADirectoryError(path)

    with pytest.raises(ConfigSyntaxError, match=r"^input in flex scanner failed$"):
        Lexer("d", read)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_tokens_or_one_fault(data: bytes) -> None:
    try:
        found = tokens(data)
    except ConfigSyntaxError:
        return
    assert len(found) <= len(data)
