"""Where a command ends in a stream of bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyd2.control.framing import MAX_REQUEST, FramingState, JsonFraming

WHOLE = [
    (b"{}", b"{}"),
    (b"[]", b"[]"),
    (b" \t\r\n{ }", b"{ }"),
    (b"{} {}", b"{}"),
    (b"{}garbage", b"{}"),
    (b"# {\n// [\n/* { **/ {}", b"{}"),
    (b"{ # }\n }", b"{ \n }"),
    (b"{ // }\n }", b"{ \n }"),
    (b"{ /* }\n * / ***\n**/ }", b"{ \n\n }"),
    (b'{"a}": "/*#\\"]"}', b'{"a}": "/*#\\"]"}'),
    (b'{"\\\\": [{}]}', b'{"\\\\": [{}]}'),
    (b"{]", b"{]"),
    (b"[}{]", b"[}"),
]
BROKEN = [
    (b"x", "invalid first character x"),
    (b'"a"', 'invalid first character "'),
    (b"}", "invalid first character }"),
    (b"\0", "invalid first character "),
    (b"\xff", "invalid first character \udcff"),
    (b"\x0b{}", "invalid first character \x0b"),
    (b" x", "invalid character x"),
    (b"#\nx", "invalid character x"),
    (b"/**/x", "invalid character x"),
    (b"/x", "invalid characters /x"),
    (b"{/}", "invalid characters /}"),
    (b"{/#", "invalid characters /#"),
]
PARTIAL = [
    (b"", 0), (b" \n", 0), (b"# {}", 0), (b"/* {} *", 0), (b"/", 0), (b"{", 1), (b'{"}', 3), (b'{"a\\"}', 6),
    (b"{[}", 3), (b"{ # }", 2), (b"{ /* }", 2), (b"{ /", 2),
]  # fmt: skip


def fed(*chunks: bytes) -> JsonFraming:
    feed = JsonFraming()
    for chunk in chunks:
        feed.feed(chunk)
    return feed


@pytest.mark.parametrize(("data", "text"), WHOLE)
def test_complete(data: bytes, text: bytes) -> None:
    feed = fed(data)
    assert (feed.state, feed.text, feed.error) == (FramingState.COMPLETE, text, "")


@pytest.mark.parametrize(("data", "error"), BROKEN)
def test_failed(data: bytes, error: str) -> None:
    feed = fed(data, b"{}")
    assert (feed.state, feed.error) == (FramingState.FAILED, error)


@pytest.mark.parametrize(("data", "size"), PARTIAL)
def test_partial(data: bytes, size: int) -> None:
    feed = fed(data)
    assert (feed.state, feed.size, feed.error) == (FramingState.NEEDS_DATA, size, "")


ALPHABET = st.sampled_from([*(bytes([c]) for c in b'{}[]"\\#/* \nx\0\xe9'), b"/*", b"*/", b"//", b'"a"'])


@given(st.lists(ALPHABET, max_size=30).map(b"".join), st.data())
@example(b"{/* \\ **/}", None)
def test_chunks_make_no_difference(data: bytes, draw: st.DataObject | None) -> None:
    places = st.lists(st.integers(0, len(data)))
    cuts = list(range(len(data))) if draw is None else sorted(draw.draw(places))
    chunks = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    whole, pieces = fed(data), fed(*chunks)
    assert (pieces.state, pieces.text, pieces.error) == (whole.state, whole.text, whole.error)


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3),
    max_leaves=10,
)
COMMENTS = st.sampled_from(["", " ", "# }\n", "// ]\n", "/* \" } */", "/***/", "/*\n*/"])


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), st.data())
def test_json_with_comments_comes_out_as_that_json(value: dict[str, object], draw: st.DataObject) -> None:
    separators = tuple(draw.draw(COMMENTS) + sign + draw.draw(COMMENTS) for sign in ",:")
    text = draw.draw(COMMENTS) + json.dumps(value, separators=separators) + "trailing }"  # type: ignore[arg-type]
    feed = fed(text.encode())
    assert feed.state is FramingState.COMPLETE
    assert json.loads(feed.text) == value


@pytest.mark.parametrize("endless", [b"{ ", b'{"', b"[", b"# ", b"/* ", b"{ /*\n", b" "])
def test_an_endless_request_is_refused_and_keeps_no_memory(
    endless: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyd2.control.framing.MAX_REQUEST", 100_000)
    feed = fed(endless)
    sent = len(endless)
    while feed.feed(endless[-1:] * 1000) is FramingState.NEEDS_DATA:
        sent += 1000
        assert sent <= 100_000
    assert feed.state is FramingState.TOO_LONG
    assert feed.size == 0
    assert feed.error == "request is longer than 100000 bytes"


def test_the_longest_request() -> None:
    assert fed(b"[" + b" " * (MAX_REQUEST - 2) + b"]").state is FramingState.COMPLETE
    assert fed(b"[" + b" " * (MAX_REQUEST - 1) + b"]").state is FramingState.TOO_LONG
