"""The text of metrics: what Prometheus's own parsers read of it, and that it is whole."""

from __future__ import annotations

import math
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pyd2.counters import Histogram
from pyd2.metrics.exposition import (
    OPEN_METRICS,
    TEXT,
    Exposition,
    labels,
    template,
    wants_open_metrics,
)
from pyd2.metrics.families import BY_NAME, FAMILIES, Kind
from tests.kit.process import find_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.metrics_core import Metric

PARSERS: dict[bool, Callable[[str], Iterable[Metric]]] = {False: parse_text, True: parse_open_metrics}


def text_of(exposition: Exposition) -> str:
    _, parts = exposition.end()
    return b"".join(parts).decode()


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("text/plain", False),
        ("*/*", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2", True),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.5", False),
        ("application/openmetrics-text;q=0,*/*", False),
        ("Application/OpenMetrics-Text; Q=0.7", True),
        ("application/openmetrics-text;q=x", False),
        # What Prometheus 2.53 sends.
        (
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,"
                "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
            ),
            True,
        ),
    ],
)
def test_the_client_chooses_the_format(accept: str, expected: bool) -> None:
    assert wants_open_metrics(accept) is expected
    exposition = Exposition(open_metrics=expected)
    assert exposition.end()[0] == (OPEN_METRICS if expected else TEXT)


@pytest.mark.parametrize("open_metrics", [False, True])
@given(
    values=st.lists(st.tuples(st.text(), st.integers(0, 2**63)), max_size=5, unique_by=lambda each: each[0])
)
def test_every_label_comes_back(open_metrics: bool, values: list[tuple[str, int]]) -> None:
    """Texts that are no Unicode become question marks: they would spoil the whole scrape."""
    values = [(text.encode("utf-8", "replace").decode(), value) for text, value in values]
    values = list(dict(values).items())
    exposition = Exposition(open_metrics=open_metrics)
    exposition.family("kea_ddns_key_update_sent")
    for text, value in values:
        exposition.value(value, labels(("key", text)))
    (family,) = PARSERS[open_metrics](text_of(exposition))
    assert [(sample.labels["key"], sample.value) for sample in family.samples] == values
    assert family.type == "counter"


@given(names=st.lists(st.text(alphabet='ab%"\\\n{},= ', max_size=5), max_size=4, unique=True))
def test_lines_that_are_kept_are_those_of_single_samples(names: list[str]) -> None:
    labelled = [labels(("zone", name), ("result", "done")) for name in names]
    one, other = Exposition(open_metrics=False), Exposition(open_metrics=False)
    for exposition in (one, other):
        exposition.family("pyd2_requests")
    one.counts(range(len(names)), labelled)
    if names:
        other.lines([template("pyd2_requests", labelled) % tuple(range(len(names)))])
    assert text_of(one) == text_of(other)


@pytest.mark.parametrize("open_metrics", [False, True])
@given(values=st.lists(st.floats(0, 1e6), max_size=20))
def test_a_histogram_adds_up(open_metrics: bool, values: list[float]) -> None:
    histogram = Histogram((0.001, 0.5, 10.0))
    for value in values:
        histogram.add(value)
    exposition = Exposition(open_metrics=open_metrics)
    exposition.family("pyd2_dns_update_seconds")
    exposition.histogram(histogram, labels(("dns_server", "192.0.2.1:53")))
    (family,) = PARSERS[open_metrics](text_of(exposition))
    found = {sample.labels.get("le", sample.name): sample.value for sample in family.samples}
    expected = {str(bound): float(sum(value <= bound for value in values)) for bound in (0.001, 0.5, 10.0)}
    assert found.pop("pyd2_dns_update_seconds_sum") == pytest.approx(sum(values))
    assert found == expected | {"+Inf": len(values), "pyd2_dns_update_seconds_count": len(values)}


def test_a_long_text_comes_in_parts() -> None:
    exposition = Exposition(open_metrics=True)
    exposition.family("kea_ddns_key_update_sent")
    for number in range(3000):
        exposition.counts([number], (labels(("key", f"k{number}.")),))
    _, parts = exposition.end()
    assert len(parts) > 5
    assert all(part.endswith(b"\n") for part in parts)
    (family,) = PARSERS[True](b"".join(parts).decode())
    assert [sample.value for sample in family.samples] == list(range(3000))


def test_octets_that_are_no_text_do_not_spoil_a_scrape() -> None:
    exposition = Exposition(open_metrics=False)
    exposition.one("pyd2_requests_queued", 1, labels(("zone", b"\xff".decode("utf-8", "surrogateescape"))))
    (family,) = parse_text(text_of(exposition))
    assert family.samples[0].labels["zone"] == "?"


def test_the_table_is_in_order() -> None:
    assert len(BY_NAME) == len(FAMILIES)
    for family in FAMILIES:
        assert not family.name.endswith("_total")
        assert family.text.endswith(".")
        assert family.sample == family.name + ("_total" if family.kind is Kind.COUNTER else "")
        assert {
            "zone",
            "dns_server",
            "key",
            "rcode",
            "result",
            "reason",
            "version",
            "kea",
            "packet_layer",
            "python",
            "site",
        } >= set(family.labels)


@pytest.mark.peers
def test_promtool_accepts_each_metric() -> None:
    """Those that few daemons show, too."""
    exposition = Exposition(open_metrics=False)
    for family in FAMILIES:
        given = labels(*((name, "x") for name in family.labels)) if family.labels else ""
        if family.kind is Kind.HISTOGRAM:
            exposition.family(family.name)
            exposition.histogram(Histogram((1.0,)), given)
        else:
            exposition.one(family.name, 1, given)
    text = text_of(exposition)
    assert {family.name for family in parse_text(text)} == BY_NAME.keys()
    command = [find_program("promtool", "prometheus"), "check", "metrics"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_bound_counts_below_itself() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.5, math.inf):
        histogram.add(value)
    assert histogram.counts == [2, 2, 2]
