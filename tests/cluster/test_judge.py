"""What the long runs count: requests that are lost, stale, repeated or out of order show."""

from __future__ import annotations

from tests.cluster.updates import Claim, Update, judge

CLAIMS = [Claim(1.0, 1, "m0"), Claim(5.0, 2, "m1")]
CLIENTS = [0, 7, 8, 7]
"""Of the versions 1, 2 and 3."""
WANTED = {"host7.": "10.0.0.3", "host8.": "10.0.0.2"}


def judged(*updates: Update, found: dict[str, str] | None = None) -> tuple[int, ...]:
    """Return what is lost, wrong, stale, took effect though stale, is repeated, and older."""
    outcome = judge(updates, CLAIMS, CLIENTS, WANTED, WANTED if found is None else found)
    assert outcome.accepted == 3
    assert outcome.good == (not outcome.lost and not outcome.wrong)
    assert outcome.claims == 2
    return (outcome.lost, len(outcome.wrong), sum(outcome.stale.values()), outcome.took_effect,
            sum(outcome.repeated.values()), outcome.older)


def update(at: float, node: str, version: int, *, done: bool = True) -> Update:
    return Update(at, node, version, done)


ALL = [update(2, "m0", 1), update(2.1, "m0", 2), update(2.2, "m0", 3)]


def test_all_is_well() -> None:
    assert judged(*ALL) == (0, 0, 0, 0, 0, 0)


def test_what_is_never_carried_out_is_lost() -> None:
    assert judged(*ALL[:2], update(2.2, "m0", 3, done=False)) == (1, 0, 0, 0, 0, 0)


def test_a_name_with_another_address_is_wrong() -> None:
    assert judged(*ALL, found={"host7.": "10.0.0.1", "host8.": "10.0.0.2"}) == (0, 1, 0, 0, 0, 0)


def test_what_a_new_owner_does_again_is_repeated() -> None:
    assert judged(*ALL, update(6, "m1", 3), update(6.1, "m1", 3)) == (0, 0, 0, 0, 1, 0)


def test_what_a_former_owner_sends_is_stale() -> None:
    assert judged(*ALL, update(6, "m0", 3, done=False)) == (0, 0, 1, 0, 0, 0)
    assert judged(*ALL, update(6, "m0", 3)) == (0, 0, 1, 1, 1, 0)


def test_an_older_update_after_a_newer_one_of_its_client_is_counted() -> None:
    assert judged(*ALL, update(6, "m1", 1), update(6.1, "m1", 3)) == (0, 0, 0, 0, 2, 1)


def test_what_tells_why_updates_are_stale_is_shown() -> None:
    """The servers have lost a claim: its node sends nothing, and the former owner continues."""
    claims = [Claim(1.0, 1, "m0"), Claim(5.0, 2, "m1"), Claim(9.0, 2, "m2")]
    updates = [update(2, "m0", 1), update(6, "m0", 2), update(8.5, "m0", 3), update(9.5, "m2", 3)]
    outcome = judge(updates, claims, CLIENTS, WANTED, WANTED)
    assert outcome.stale == {1: 2}
    twice, sent = outcome.signs
    assert twice == "m2 has logged a claim of epoch 2, 4.00 s behind one of m1, epoch 2, at 5.000"
    assert sent.startswith("m0, owner in epoch 1, has sent 2 updates from 1.00 to 3.50 s behind")


def test_nothing_is_shown_when_all_is_well() -> None:
    assert judge(ALL, CLAIMS, CLIENTS, WANTED, WANTED).signs == []
