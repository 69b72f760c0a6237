"""Metrics of a running daemon: under both profiles, read by Prometheus's own tools."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import urllib.parse
import urllib.request
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pyd2.metrics.exposition import OPEN_METRICS, TEXT
from pyd2.metrics.families import BY_NAME, FAMILIES
from tests.cluster.site import SITE
from tests.cluster.test_tsig_fudge import make_streams
from tests.kit import ncr
from tests.kit.as_kea import as_kea
from tests.kit.d2 import CONTROL_SOCKET, D2, config, private_directory
from tests.kit.http_client import fetch
from tests.kit.nats_servers import nats_servers
from tests.kit.ports import PortLease
from tests.kit.process import Process, find_program
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
RULES = ROOT / "contrib" / "prometheus" / "pyd2.rules.yml"
DASHBOARD = ROOT / "contrib" / "grafana" / "pyd2.json"
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXM="
PASSWORD = "pass-Word-1"
KEY = {"name": "k.example.", "algorithm": "HMAC-SHA256", "secret": SECRET}
NAME = re.compile(r"\b(?:pyd2|kea_ddns|process)_\w+")


class Site:
    """A daemon with two DNS servers: A answers, B does not."""

    d2: D2
    ncr_port: int
    port: int

    def get(self, path: str = "/metrics", **headers: str) -> tuple[int, dict[str, str], str]:
        """Return status, headers and text."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return fetch(f"http://127.0.0.1:{self.port}{path}", names)

    def sample(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples with these labels."""
        return sum(
            sample.value
            for family in parse_text(self.get()[2])
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def send(self, fqdn: str, count: int = 1) -> None:
        """Send requests of as many clients."""
        for number in range(count):
            client = ncr.dhcid(number.to_bytes(4, "big"), fqdn)
            request = ncr.request(fqdn, "192.0.2.10", client, reverse=False, mode=ncr.MODES[1])
            ncr.send(ncr.datagram(request), self.ncr_port)


def switch(version: str, entry: dict[str, Any], **own: Any) -> dict[str, Any]:
    """Return the members of a configuration that have the HTTP socket: as each release takes it."""
    if version.startswith("3."):
        return {"control-sockets": [CONTROL_SOCKET, entry], "user-context": {"pyd2": own}}
    return {"control-socket": CONTROL_SOCKET, "user-context": {"pyd2": {"http": [entry], **own}}}


@contextmanager
def running(
    binary: str, version: str, tmp_path: Path, entry: dict[str, Any] | None = None, **own: Any
) -> Iterator[Site]:
    site = Site()
    with PortLease() as lease, private_directory() as directory:
        site.ncr_port, site.port = lease.take(), lease.take()
        answers, silent = lease.take(), lease.take()

        def domain(name: str, port: int) -> dict[str, Any]:
            return {
                "name": name,
                "key-name": "k.example." if port == answers else "",
                "dns-servers": [{"ip-address": "127.0.0.1", "port": port}],
            }

        http = {"socket-type": "http", "socket-port": site.port, "user-context": {"pyd2": {"metrics": True}}}
        body = switch(version, http | (entry or {}), **own) | {
            "tsig-keys": [KEY],
            "dns-server-timeout": 100,
            "forward-ddns": {
                "ddns-domains": [domain("example.com.", answers), domain("example.net.", silent)]
            },
        }
        whole = config(site.ncr_port, body)
        if "control-sockets" in body:
            whole["DhcpDdns"].pop("control-socket")
        with ScriptedDns({"A": answers}) as dns:
            dns.set_script([], {"k.example.": b"secret-secret-secret-secret-s"})
            with D2.start(as_kea(binary, version, tmp_path), directory, whole) as site.d2:
                site.d2.wait_for_listener(site.ncr_port)
                yield site
                assert site.d2.alive
                assert "PYD2_INTERNAL_ERROR" not in site.d2.process.output()


@pytest.fixture(autouse=True)
def _only_pyd2(is_pyd2: bool) -> None:
    if not is_pyd2:
        pytest.skip("Kea has no metrics")


RELEASES = pytest.mark.parametrize("version", ["2.6.3", "3.0.4"])


@RELEASES
def test_what_is_scraped_agrees_with_the_statistics(d2_binary: str, version: str, tmp_path: Path) -> None:
    with running(d2_binary, version, tmp_path) as site:
        site.send("a.example.com.", 5)
        site.send("a.example.net.", 2)
        site.send("a.example.org.")
        ncr.send(ncr.datagram(b"{}"), site.ncr_port)
        wait_until(lambda: site.sample("pyd2_requests_total") == 8, "all requests have ended")
        listed = site.d2.command("statistic-get-all")["arguments"]
        statistics = {name: samples[0][0] for name, samples in listed.items()}
        for name in (
            "ncr-received",
            "ncr-invalid",
            "ncr-error",
            "update-sent",
            "update-signed",
            "update-unsigned",
            "update-success",
            "update-timeout",
            "update-error",
        ):
            assert site.sample(f"kea_ddns_{name.replace('-', '_')}_total") == statistics[name], name
        for name in ("sent", "success", "timeout", "error"):
            value = statistics[f"key[k.example.].update-{name}"]
            assert site.sample(f"kea_ddns_key_update_{name}_total", key="k.example.") == value, name
        results = {
            result: site.sample("pyd2_requests_total", result=result)
            for result in ("done", "failed", "expired", "superseded", "unmatched", "lost")
        }
        assert results == {"done": 5, "failed": 2, "expired": 0, "superseded": 0, "unmatched": 1, "lost": 0}
        assert site.sample("pyd2_requests_total", zone="example.com.", result="done") == 5
        assert site.sample("pyd2_requests_total", zone="example.net.", result="failed") == 2
        assert site.sample("pyd2_dns_replies_total", rcode="NOERROR") == 5
        assert site.sample("pyd2_dns_update_seconds_count") == statistics["update-success"]
        assert site.sample("pyd2_dns_timeouts_total") == statistics["update-timeout"]
        assert site.sample("pyd2_request_seconds_count", result="done") == 5
        assert site.sample("pyd2_request_seconds_count", result="failed") == 2
        assert site.sample("pyd2_request_seconds_sum", result="failed") >= 0.6
        assert site.sample("pyd2_dns_server_up") == 1  # that of two
        assert site.sample("pyd2_build_info", kea=version) == 1


@RELEASES
def test_the_tools_of_prometheus_read_it(d2_binary: str, version: str, tmp_path: Path) -> None:
    with running(d2_binary, version, tmp_path) as site:
        site.send("a.example.com.", 3)
        wait_until(lambda: site.sample("pyd2_requests_total") == 3, "all requests have ended")
        status, headers, text = site.get()
        assert (status, headers["Content-Type"]) == (200, TEXT)
        named = {family.name for family in parse_text(text)}
        status, headers, open_text = site.get(Accept="application/openmetrics-text; version=1.0.0")
        assert (status, headers["Content-Type"]) == (200, OPEN_METRICS)
        families = parse_open_metrics(open_text)  # type: ignore[no-untyped-call]
        assert {family.name for family in families} == named
        queue = {"pyd2_queue_entries", "pyd2_queue_usable", "pyd2_dead_letters", "pyd2_queue_commit_seconds"}
        gss = {"pyd2_gss_key_expiry_timestamp_seconds", "pyd2_tkey_exchanges"}
        cluster = {name for name in BY_NAME if name.startswith("pyd2_cluster_")}
        assert named == BY_NAME.keys() - queue - gss - cluster
        for page in (text, open_text):
            for secret in (SECRET, "secret-secret"):
                assert secret not in page
        promtool = find_program("promtool", "prometheus")
        done = subprocess.run(
            [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_durable_queue_is_measured(d2_binary: str, tmp_path: Path) -> None:
    queue = {"type": "durable", "directory": str(tmp_path)}
    with running(d2_binary, "2.6.3", tmp_path, queue=queue) as site:
        site.send("a.example.com.", 3)
        wait_until(lambda: site.sample("pyd2_requests_total", result="done") == 3, "all are done")
        wait_until(lambda: site.sample("pyd2_queue_entries") == 0, "all have left the queue")
        assert site.sample("pyd2_queue_usable") == 1
        assert site.sample("pyd2_queue_commit_seconds_count") >= 1


def test_zones_beyond_the_limit_come_together(d2_binary: str, tmp_path: Path) -> None:
    with running(d2_binary, "3.0.4", tmp_path, metrics={"max-zones": 1}) as site:
        site.send("a.example.com.", 2)
        site.send("a.example.net.")
        wait_until(lambda: site.sample("pyd2_requests_total") == 3, "all requests have ended")
        assert site.sample("pyd2_requests_total", zone="example.com.") == 2
        assert site.sample("pyd2_requests_total", zone="other") == 1
        assert site.sample("pyd2_requests_total", zone="example.net.") == 0


def test_a_refused_configuration_shows(d2_binary: str, tmp_path: Path) -> None:
    with running(d2_binary, "2.6.3", tmp_path) as site:
        loaded = site.sample("pyd2_config_loaded_timestamp_seconds")
        assert site.sample("pyd2_config_reload_successful") == 1
        whole = json.loads((site.d2.directory / "d2.json").read_text())
        assert site.d2.command("config-set", {"DhcpDdns": {**whole["DhcpDdns"], "port": 0}})["result"] == 1
        assert site.sample("pyd2_config_reload_successful") == 0
        assert site.sample("pyd2_config_loaded_timestamp_seconds") == loaded
        assert site.d2.command("config-set", whole)["result"] == 0
        assert site.sample("pyd2_config_reload_successful") == 1
        assert site.sample("pyd2_config_loaded_timestamp_seconds") > loaded


def test_only_clients_read_it(d2_binary: str, tmp_path: Path) -> None:
    clients = [{"user": "reader", "password": PASSWORD, "user-context": {"pyd2": {"role": "read"}}}]
    entry = {"authentication": {"type": "basic", "clients": clients}}
    known = "Basic " + b64encode(f"reader:{PASSWORD}".encode()).decode()
    with running(d2_binary, "2.6.3", tmp_path, entry) as site:
        assert site.get()[0] == 401
        assert site.get(Authorization="Basic " + b64encode(b"reader:x").decode())[0] == 401
        status, _, text = site.get(Authorization=known)
        assert status == 200
        assert PASSWORD not in text
        assert site.get("/nothing", Authorization=known)[0] == 404
        log = site.d2.process.output()
        assert PASSWORD not in log
        assert "HTTP_CLIENT_REQUEST_NOT_AUTHORIZED" in log
        assert "HTTP_COMMAND_MGR_SERVICE_STARTED started HTTP service" in log
        redacted = site.d2.command("config-get")["arguments"]
        assert PASSWORD in json.dumps(redacted)  # as Kea: unless redact-secrets is on


def test_no_site_on_the_web_reads_it(d2_binary: str, tmp_path: Path) -> None:
    own = {"metrics": True, "web-hosts": ["d2.example.com"]}
    with running(d2_binary, "3.0.4", tmp_path, {"user-context": {"pyd2": own}}) as site:
        for host in (
            "localhost",
            f"127.0.0.1:{site.port}",
            "[::1]:8000",
            "D2.example.com:1",
            "d2.example.com.",
        ):
            assert site.get(Host=host)[0] == 200, host
        for host in ("attacker.example", "127.0.0.1.example:80", "x"):
            assert site.get(Host=host)[0] == 421, host
        assert site.get(Sec_Fetch_Site="cross-site")[0] == 403
        assert site.get(Sec_Fetch_Site="same-origin")[0] == 200
        _, headers, _ = site.get()
        assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


def test_without_the_switch_there_is_no_page(d2_binary: str, tmp_path: Path) -> None:
    with running(d2_binary, "3.0.4", tmp_path, {"user-context": {}}) as site:
        assert site.get()[0] == 400


# What is delivered beside the program.


@pytest.mark.peers
def test_the_rules_are_right() -> None:
    promtool = find_program("promtool", "prometheus")
    done = subprocess.run(
        [promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "12 rules" in done.stdout


def expressions() -> list[str]:
    """Return what the dashboard asks for, with its variables set."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [each.replace("$__rate_interval", "1m").replace("$instance", ".*") for each in found]


def sample_names() -> set[str]:
    """Return the names of all samples that a scrape may have."""
    return {
        family.sample + end
        for family in FAMILIES
        for end in (("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",))
    }


def test_dashboard_and_rules_name_metrics_that_exist() -> None:
    named = {
        name
        for text in (*expressions(), RULES.read_text().replace("`pyd2_dns_replies_total`", ""))
        for name in NAME.findall(text)
    }
    assert len(named) > 30
    assert named - {"pyd2_rules"} <= sample_names()


@pytest.mark.peers
def test_a_real_prometheus_scrapes_it_and_the_dashboard_has_data(d2_binary: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        (nats,) = stack.enter_context(nats_servers())
        asyncio.run(make_streams(nats))
        # It has all metrics of the durable queue, too.
        queue = {"type": "nats", "directory": str(tmp_path), "site": SITE,
                 "servers": [f"nats://127.0.0.1:{nats.port}"]}
        site = stack.enter_context(running(d2_binary, "2.6.3", tmp_path, queue=queue))
        port = stack.enter_context(PortLease()).take()
        (tmp_path / "prometheus.yml").write_text(
            "global: { scrape_interval: 1s, evaluation_interval: 1s }\n"
            f"rule_files: [ {RULES} ]\n"
            "scrape_configs:\n- job_name: pyd2\n  static_configs:\n"
            f"  - targets: [ '127.0.0.1:{site.port}' ]\n"
        )
        command = [
            find_program("prometheus", "prometheus"),
            f"--config.file={tmp_path}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]

        def ask(path: str, **parameters: str) -> Any:
            query = urllib.parse.urlencode(parameters)
            with urllib.request.urlopen(
                f"http://127.0.0.1:{port}/api/v1/{path}?{query}", timeout=10
            ) as answer:
                return json.loads(answer.read())["data"]

        def scraped(expression: str) -> list[Any]:
            try:
                found: list[Any] = ask("query", query=expression)["result"]
            except OSError:
                return []
            return found

        with Process(command, tmp_path, name="prometheus"):
            site.send("a.example.com.", 3)
            wait_until(lambda: bool(scraped("pyd2_requests_total")), "Prometheus has scraped", timeout=60)
            site.send("a.example.com.", 3)
            site.send("a.example.net.", 2)
            missing = expressions()

            def complete() -> bool:
                missing[:] = [each for each in missing if not scraped(each)]
                return not missing

            try:
                wait_until(complete, "each expression of the dashboard has data", timeout=60)
            except Exception as error:
                raise AssertionError(missing) from error
            (target,) = ask("targets")["activeTargets"]
            assert (target["health"], target["lastError"]) == ("up", "")
            rules = ask("rules")["groups"][0]["rules"]
            assert {(rule["health"], rule.get("lastError", "")) for rule in rules} == {("ok", "")}
