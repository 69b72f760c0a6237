"""What the harness of a site with namespaces reads in the logs of its nodes."""

from pyd2.messages import OWN_MESSAGES
from tests.cluster.apart import CLAIM


def test_a_claim_is_found_in_a_log() -> None:
    text = OWN_MESSAGES["PYD2_CLUSTER_CLAIMED"].text
    for number, value in enumerate(("site-a", 7, 41, "n2"), 1):
        text = text.replace(f"%{number}", str(value))
    line = f"2026-11-29 21:00:00.125 INFO  [kea-dhcp-ddns/1.2] PYD2_CLUSTER_CLAIMED {text}\n"
    assert CLAIM.findall(line) == [("2026-11-29 21:00:00.125", "7")]
