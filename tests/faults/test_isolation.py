"""The rows of ``python -m tests.faults isolation`` work, and a healthy zone loses nothing beside any of them.

Short and with few requests: how long things take is for the command.
"""

import pytest

from tests.faults import isolation, probe

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("kind", ["backlog", "rivals", "servers", "tcp", "removals", "reload", "keys", "log",
                                  "costly", "records"])
@pytest.mark.parametrize("switches", ["none", "both"])
def test_a_healthy_zone_loses_nothing(is_pyd2: bool, kind: str, switches: str) -> None:
    if not is_pyd2:
        pytest.skip("the probe is for pyd2")
    row = isolation.measure(kind, switches, seconds=1.0, rate=50.0, backlog=3000)
    assert row.beside.sent > 0
    assert (row.alone.lost, row.beside.lost) == (0, 0), row.text()
    assert row.holds.runs > 0
    assert row.text().count("|") == isolation.HEAD.splitlines()[0].count("|")


def test_what_the_probe_has_seen_is_read_and_cleared(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("probe") / "probe"
    file.write_bytes(bytes(probe.SIZE))

    class Loop:
        """Takes the timer and forgets it."""

        def call_later(self, _delay: float, _call: object) -> None:
            """Do nothing."""

    watching = probe.Probe(Loop(), file)
    watching.run()
    watching.run()
    assert probe.read(file, clear=True).runs == 2
    watching.run()
    assert probe.read(file).runs == 1
