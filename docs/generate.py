"""Write pages, and tables in other pages, from the code: ``python docs/generate.py``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pyd2.messages import Message

from pyd2.dns.constants import Rcode, RRClass, RRType
from pyd2.dns.update import A_OR_AAAA, Data, RecordTemplate
from pyd2.messages import OWN_MESSAGES, Severity
from pyd2.metrics.families import FAMILIES
from pyd2.profiles import kea_2_6_messages, kea_3_0_messages
from pyd2.update.model.kinds import DONE, KINDS, MAX_TRIES, NOTED, Kind, Step
from pyd2.update.model.policies import POLICY_KINDS
from pyd2.update.model.reasons import TABLE
from pyd2.update.retry.states import MEANINGS, RULES, Event, State

HERE = Path(__file__).parent

_STATES_BEGIN = (
    "<!-- Written by docs/generate.py from pyd2/update/retry/states.py: change that, then run it. -->"
)
_METRICS_BEGIN = (
    "<!-- Written by docs/generate.py from pyd2/metrics/families.py: change that, then run it. -->"
)
_END = "<!-- End of what docs/generate.py writes. -->"

_POLICIES_BEGIN = (
    "<!-- Written by docs/generate.py from pyd2/update/model/policies.py: change that, then run it. -->"
)
_DATA = {
    Data.NONE: "", Data.ADDRESS: " addr", Data.DHCID: " id", Data.OTHER_DHCID: " other", Data.TARGET: " F",
}


def main() -> None:
    """Write the pages beside this file."""
    for name, text in pages().items():
        (HERE / name).write_text(text)


def pages() -> dict[str, str]:
    """Return the text of each page with something generated, by its file name."""
    return {
        "transactions.md": _joined(_transactions()),
        "messages.md": _joined(_messages()),
        "retry.md": _between(
            (HERE / "retry.md").read_text(), _STATES_BEGIN, _retry_states()
        ),
        "reasons.md": _joined(_reasons()),
        "policies.md": _between((HERE / "policies.md").read_text(), _POLICIES_BEGIN, _policies()),
        "metrics.md": _between((HERE / "metrics.md").read_text(), _METRICS_BEGIN, _metrics()),
    }


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def _transactions() -> Iterator[str]:
    yield "# Transactions"
    yield ""
    yield "<!-- Written by docs/generate.py from pyd2/update/model/kinds.py: change that, then run it. -->"
    yield ""
    yield (
        "A request's `change-type` and `conflict-resolution-mode` choose one of eight kinds. Its forward "
        "steps come first, then its reverse step, each direction only if the request asks for it. An RCODE "
        "that a step does not list fails the transaction. A try without a usable reply is repeated; after "
        f"{MAX_TRIES} tries the direction begins again with the domain's next server, if there is one."
    )
    yield ""
    yield (
        "`F` is the client's name, `R` its reverse name, `T` the TTL, `id` its DHCID, `A*` is A or AAAA. "
        "Records are written as RFC 2136 means them: class NONE or ANY with TTL 0 requires absence or "
        "presence, or deletes."
    )
    for kind in KINDS:
        yield from _kind(kind)


def _kind(kind: Kind) -> Iterator[str]:
    verb = kind.change_type.name.lower()
    yield ""
    yield f"## {kind.name}"
    yield ""
    yield f"To {verb}, with `{kind.mode}`."
    yield ""
    yield "| step | requires | changes | RCODE leads to |"
    yield "|---|---|---|---|"
    for step in kind.steps.values():
        owner = "F" if step.forward else "R"
        if step.asks is not None:
            leads = "<br>".join(f"{holds.value}: {_end(step, to)}" for holds, to in step.asks.items())
            yield f"| {step.name} | | a question for the DHCIDs of F | {leads}<br>else: failure |"
            continue
        requires = "<br>".join(f"`{_record(owner, rr)}`" for rr in step.template.prerequisites) or "nothing"
        changes = "<br>".join(f"`{_record(owner, rr)}`" for rr in step.template.updates)
        yield f"| {step.name} | {requires} | {changes} | {_leads_to(step)} |"


def _leads_to(step: Step) -> str:
    lines = [f"{Rcode(rcode).name}: {_end(step, to)}" for rcode, to in step.on.items()]
    if not step.other_server:
        lines.append("no other server is tried")
    return "<br>".join(lines)


def _end(step: Step, to: str) -> str:
    if to not in {DONE, NOTED}:
        return to
    return "the reverse step, or success" if step.forward else "success"


def _policies() -> Iterator[str]:
    """Return the tables of the kinds with all policies on: those of one policy have fewer steps."""
    most = {kind.request_kind: kind for kind in sorted(POLICY_KINDS, key=lambda kind: len(kind.steps))}
    for kind in most.values():
        yield from _kind(kind)


def _record(owner: str, record: RecordTemplate) -> str:
    ttl = "T" if record.with_ttl else "0"
    own = "A'" if record.other_family else "A*"
    rdtype = own if record.type is A_OR_AAAA else RRType(record.type).name
    return f"{owner} {ttl} {RRClass(record.rrclass).name} {rdtype}{_DATA[record.data]}"


def _messages() -> Iterator[str]:
    yield "# Messages"
    yield ""
    yield (
        "<!-- Written by docs/generate.py from pyd2/messages.py and the messages in pyd2/profiles: change "
        "these, then run it. -->"
    )
    yield ""
    yield (
        "`%1`, `%2` and so on stand for the arguments of a message. A DEBUG message is written from its "
        "`debuglevel` on."
    )
    yield ""
    yield "## Messages of pyd2"
    yield ""
    yield "Kea does not have these. Their IDs begin with `PYD2_`."
    yield from _by_logger(OWN_MESSAGES)
    yield ""
    yield "## Messages of Kea"
    yield ""
    yield "IDs, loggers, levels and texts are those of Kea 2.6 and 3.0."
    yield from _by_logger(kea_2_6_messages.MESSAGES)
    yield ""
    yield "## Messages of Kea 3.0 only"
    yield from _by_logger(kea_3_0_messages.MESSAGES)


def _by_logger(messages: Mapping[str, Message]) -> Iterator[str]:
    by_logger: dict[str, list[str]] = {}
    for message in messages.values():
        level = message.severity.name
        if message.severity == Severity.DEBUG:
            level += f" {message.debuglevel}"
        text = message.text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("\n", "⏎")
        by_logger.setdefault(message.logger, []).append(f"| `{message.message_id}` | {level} | {text} |")
    for logger, rows in by_logger.items():
        yield ""
        yield f"### {logger}"
        yield ""
        yield "| ID | severity | text |"
        yield "|---|---|---|"
        yield from rows


def _reasons() -> Iterator[str]:
    yield "# Why a request fails"
    yield ""
    yield "<!-- Written by docs/generate.py from pyd2/update/model/reasons.py: change that, then run it. -->"
    yield ""
    yield (
        "What a failure means, and how to mend it. `pyd2ctl why HOST` says it of a host, if the "
        "[history](history.md) is on, and `pyd2ctl explain --failed RCODE` of what would be sent. The same "
        "RCODE "
        "means different things in different [steps](transactions.md): of several rows with one name, the "
        "first "
        "one that applies counts."
    )
    yield ""
    yield "| failure | where | why | mend |"
    yield "|---|---|---|---|"
    for row in TABLE:
        name = f"`{row.name}`" if row.name else "other RCODEs"
        yield f"| {name} | {row.where or 'everywhere'} | {row.reason.why} | {row.reason.mend} |"


def _between(page: str, begin: str, lines: Iterable[str]) -> str:
    """Return a page with these lines between its two marks."""
    before, rest = page.split(begin)
    _, after = rest.split(_END)
    return before + begin + "\n" + _joined(lines) + "\n" + _END + after


def _metrics() -> Iterator[str]:
    yield ""
    yield "| metric | type | labels | meaning |"
    yield "|---|---|---|---|"
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        yield f"| `{family.sample}` | {family.kind} | {labels} | {family.text} |"


def _retry_states() -> Iterator[str]:
    yield ""
    yield "| state | meaning |"
    yield "|---|---|"
    for state, meaning in MEANINGS.items():
        yield f"| {_plain(state)} | {meaning} |"
    yield ""
    yield "| state | event | next state | when |"
    yield "|---|---|---|---|"
    for rule in RULES:
        yield f"| {_plain(rule.state)} | {_plain(rule.event)} | {_plain(rule.to)} | {rule.why} |"


def _plain(name: State | Event) -> str:
    return name.name.lower().replace("_", " ")


if __name__ == "__main__":
    main()
