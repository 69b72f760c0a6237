"""The metrics: their names, types and meanings. docs/metrics.md is printed from this table.

Those that Kea has as statistics begin with ``kea_ddns_``, as Kea's exporters name them; all others with
``pyd2_``, and those of the process as Prometheus's client libraries name them. Labels come from the
configuration or from a fixed list: never from a client.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class Kind(StrEnum):
    """The types of metrics."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Family(NamedTuple):
    """A metric with all its series."""

    name: str
    """Without the ``_total`` that the samples of a counter have."""
    kind: Kind
    text: str
    """What it says."""
    labels: tuple[str, ...] = ()

    @property
    def sample(self) -> str:
        """The name that a sample has; those of a histogram add to it."""
        return f"{self.name}_total" if self.kind is Kind.COUNTER else self.name


_C, _G, _H = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

FAMILIES: Final = (
    Family("kea_ddns_ncr_received", _C, "Valid requests that were received."),
    Family("kea_ddns_ncr_invalid", _C, "Requests that were refused as malformed."),
    Family("kea_ddns_ncr_error", _C, "Errors of the socket for requests."),
    Family("kea_ddns_queue_full", _C, "Requests lost to a full queue."),
    Family("kea_ddns_update_sent", _C, "Updates handed to the network; each try counts."),
    Family("kea_ddns_update_signed", _C, "Of these, with TSIG."),
    Family("kea_ddns_update_unsigned", _C, "Of these, without TSIG."),
    Family("kea_ddns_update_success", _C, "Replies that were read and verified, whatever their RCODE."),
    Family("kea_ddns_update_timeout", _C, "Updates without a reply in time."),
    Family("kea_ddns_update_error", _C, "Updates whose reply failed its checks."),
    Family("kea_ddns_key_update_sent", _C, "Updates signed with a configured key.", ("key",)),
    Family("kea_ddns_key_update_success", _C, "Replies to these that were read and verified.", ("key",)),
    Family("kea_ddns_key_update_timeout", _C, "Of these updates, those without a reply in time.", ("key",)),
    Family("kea_ddns_key_update_error", _C, "Of these, those whose reply failed its checks.", ("key",)),
    Family(
        "pyd2_requests",
        _C,
        "Requests that have ended, by the zone of their forward change (of their reverse change without "
        "one) and "
        "by result. Unmatched and lost ones have no zone. With the next two, the sum of all that were "
        "received "
        "since metrics are on.",
        ("zone", "result"),
    ),
    Family("pyd2_requests_queued", _G, "Requests that have not begun, or wait to be tried again."),
    Family("pyd2_requests_active", _G, "Requests that have begun and not ended."),
    Family("pyd2_request_seconds", _H, "Seconds from reading a request to its end.", ("result",)),
    Family("pyd2_retries_waiting", _G, "Of the queued requests, those that failed and are tried again."),
    Family(
        "pyd2_oldest_request_age_seconds",
        _G,
        "How long the oldest request of the durable queue, or of the retries, has waited.",
    ),
    Family("pyd2_dns_replies", _C, "Replies that count, by DNS server and RCODE.", ("dns_server", "rcode")),
    Family("pyd2_dns_timeouts", _C, "Updates without a reply in time, by DNS server.", ("dns_server",)),
    Family(
        "pyd2_dns_bad_replies",
        _C,
        "Replies that failed their checks, by what is wrong.",
        ("dns_server", "reason"),
    ),
    Family(
        "pyd2_dns_update_seconds", _H, "Seconds from an update to the reply that answers it.", ("dns_server",)
    ),
    Family("pyd2_lane_in_flight", _G, "Updates that wait for a reply of the DNS server.", ("dns_server",)),
    Family("pyd2_lane_window", _G, "How many may wait at a time, at present.", ("dns_server",)),
    Family(
        "pyd2_lane_waiting",
        _G,
        "Requests and transactions that wait for a place in the window.",
        ("dns_server",),
    ),
    Family(
        "pyd2_dns_server_up",
        _G,
        "0: the server does not answer. With retry or failover that is so after "
        "breaker-threshold tries, else after one.",
        ("dns_server",),
    ),
    Family("pyd2_kernel_drops", _C, "Requests that the kernel dropped because the receive buffer was full."),
    Family("pyd2_replies_ignored", _C, "Datagrams of DNS servers that answer no update under way."),
    Family("pyd2_log_lines_lost", _C, "Log lines that could not be written."),
    Family(
        "pyd2_history_lost",
        _C,
        "Requests that are not in the history: they came too fast, or the disk failed.",
    ),
    Family("pyd2_queue_entries", _G, "Requests in the durable queue."),
    Family("pyd2_queue_usable", _G, "0: the disk does not work, and requests are kept in memory only."),
    Family("pyd2_dead_letters", _G, "Requests that failed for good and are kept for the operator."),
    Family("pyd2_queue_commit_seconds", _H, "Seconds that a commit of the durable queue takes."),
    Family("pyd2_cluster_connected", _G, "0: no server of the shared queue can be reached.", ("site",)),
    Family("pyd2_cluster_owner", _G, "1: this node owns the shared queue and sends its updates.", ("site",)),
    Family(
        "pyd2_cluster_epoch", _G, "Counts the owners of the shared queue, as this node knows it.", ("site",)
    ),
    Family("pyd2_cluster_claims", _C, "How often this node has become the owner.", ("site",)),
    Family(
        "pyd2_cluster_unacknowledged",
        _G,
        "Requests on this machine that the servers have not acknowledged.",
        ("site",),
    ),
    Family(
        "pyd2_cluster_oldest_unacknowledged_seconds",
        _G,
        "How long the oldest of these has waited.",
        ("site",),
    ),
    Family("pyd2_cluster_appended", _C, "Requests that the servers have acknowledged.", ("site",)),
    Family("pyd2_cluster_repeated", _C, "How often a batch of requests was sent again.", ("site",)),
    Family(
        "pyd2_cluster_waiting", _G, "Requests that the owner has read and not done; 0 elsewhere.", ("site",)
    ),
    Family(
        "pyd2_cluster_late", _G, "Of these, those that are kept beside the record: they take long.", ("site",)
    ),
    Family(
        "pyd2_cluster_overtaken",
        _C,
        "Requests that were not carried out, because they came too late by a receiver that had no servers.",
        ("site",),
    ),
    Family(
        "pyd2_cluster_missing_batches",
        _C,
        "Batches of requests that servers had acknowledged and have lost, and that did not come again.",
        ("site",),
    ),
    Family(
        "pyd2_gss_key_expiry_timestamp_seconds",
        _G,
        "When the newest usable key of GSS-TSIG expires; 0: there is none. With pyd2's own GSS-TSIG.",
        ("dns_server",),
    ),
    Family(
        "pyd2_tkey_exchanges",
        _C,
        "Agreements on a key of GSS-TSIG that have ended, by result: success, timeout, or error. The first "
        "for a server, and those that renew its keys.",
        ("dns_server", "result"),
    ),
    Family("pyd2_config_loaded_timestamp_seconds", _G, "When the configuration in force was applied."),
    Family(
        "pyd2_config_reload_successful",
        _G,
        "0: the last configuration was refused, and the one before it is in force.",
    ),
    Family(
        "pyd2_build_info", _G, "1; what runs is in the labels.", ("version", "kea", "packet_layer", "python")
    ),
    Family("process_cpu_seconds", _C, "CPU time of the process, of user and system."),
    Family("process_open_fds", _G, "Open file descriptors."),
    Family("process_max_fds", _G, "How many there may be."),
    Family("process_resident_memory_bytes", _G, "Memory in use."),
    Family("process_virtual_memory_bytes", _G, "Address space in use."),
    Family("process_start_time_seconds", _G, "When the process began."),
)

BY_NAME: Final = {family.name: family for family in FAMILIES}
