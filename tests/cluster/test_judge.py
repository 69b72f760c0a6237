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
