"""What of a run is an entry, and what is never one."""

import json
import os
import typing
from pathlib import Path

import pytest

from agent_host.audit.canonical import canonical, digest
from agent_host.audit.chain import MAX_LINE, ZERO, seal
from agent_host.audit.entries import MAX_ARGUMENTS, SILENT, Facts, Projection, bounded
from agent_host.core import events as e
from agent_host.core.conversation import fold
from agent_host.core.types import ApprovalTerms, Message, Text, ToolCall, ToolResult, Usage
from agent_host.records.redact import Redactor
from tests.audit.runs import ANA, EVENTS, READ, REFUND, STARTED, finished, records, started

WHEN = "2026-11-25T10:00:00.000000Z"
GOLDEN = Path(__file__).with_name("entries.jsonl")
FACTS = Facts(host="1.0", project="/srv/desk/servers.toml", config="c" * 64, policy="p" * 64)


def taken(*events: e.Event, facts: Facts = FACTS, redactor: Redactor | None = None):
    projection = Projection(facts)
    made = records(*events)
    if redactor is not None:
        made = [redactor.item(record) for record in made]
    return [entry for record in made for entry in projection.take(record)]


def test_every_kind_of_event_is_an_entry_or_known_to_be_none():
    known = {*Projection.ENTRIES, *SILENT}
    assert known == set(typing.get_args(e.Event))


def test_the_entries_of_a_run_are_as_they_always_were():
    # Written anew with AGENT_HOST_GOLDENS=1; a change of what is recorded is then a diff.
    made = "".join(canonical(entry) + "\n" for entry in taken(*EVENTS))
    if os.environ.get("AGENT_HOST_GOLDENS"):
        GOLDEN.write_text(made)
    assert made == GOLDEN.read_text()


def test_entries_can_be_made_again_from_the_records_alone():
    assert taken(*EVENTS) == taken(*EVENTS)


def test_what_people_models_and_results_say_is_in_no_entry():
    assert "private" not in canonical([e for e in taken(*EVENTS) if e["type"] != "call_finished"])
    finishes = [e for e in taken(*EVENTS) if e["type"] == "call_finished"]
    assert finishes[0]["labels"] == ["private"]
    assert "private result" not in canonical(finishes)


def one(kind: str, **wanted):
    found = [e for e in taken(*EVENTS) if e["type"] == kind]
    return next(e for e in found if all(e.get(k) == v for k, v in wanted.items()))


def test_a_call_says_who_which_model_what_tool_by_which_rule_and_whose_leave():
    call = one("call_started", tool="refund")
    wanted = {
        "who": "ana",
        "who_from": "https://idp.example",
        "provider": "acme",
        "model": "big",
        "model_served": "big-2026-11",
        "server": "orders",
        "server_version": "2.1",
        "definition": "d" * 64,
        "rule": "large-refunds",
        "approvers": ["cy", "bo"],
        "arguments": {"order_id": "1", "amount": 9.5},
        "project": "/srv/desk/servers.toml",
    }
    assert {key: call.get(key) for key in wanted} == wanted


def test_an_approval_holds_what_was_proposed_and_what_was_approved():
    given = one("approval_given", approver="cy")
    assert given["proposed"] == REFUND.arguments
    assert given["approved"] == {"order_id": "1", "amount": 9.5}
    assert given["proposed_sha256"] == digest(REFUND.arguments)
    assert given["approver_from"] == "https://idp.example"
    assert given["approver_roles"] == ["lead"]
    assert (given["via"], given["edited"]) == ("approvals approve", True)
    assert given["binding"] == one("approval_requested")["binding"]


def test_a_refusal_and_an_expiry_are_entries_like_calls():
    refused = one("call_refused", call="c3")
    assert (refused["outcome"], refused["rule"], refused["tool"]) == ("denied", "no-mail", "send")
    assert one("call_refused", call="c4")["name"] == "orders__nope"
    assert one("approval_expired")["arguments"] == REFUND.arguments


def test_of_what_a_server_asked_for_only_the_names_of_fields_are_kept():
    given = one("input_given")
    assert given["fields"] == ["pin", "why"]
    assert "1234" not in canonical(given)


def test_the_digest_of_a_result_is_that_of_what_the_transcript_holds():
    event = finished("c1", "secret-value-1 and more", None)
    (entry,) = taken(STARTED, started("c1", "get_order", {}), event, redactor=REDACT)[2:]
    shown = [(Text(text="[secret:KEY] and more"),), None]
    assert entry["result_sha256"] == digest(shown)


REDACT = Redactor({"KEY": "secret-value-1"})


def test_no_secret_is_in_an_entry_not_even_the_half_of_one():
    long = "x" * 495 + "secret-value-1"
    events = (
        STARTED,
        e.ModelResponded(
            request_id="r",
            message=EVENTS[7].message,
            stop_reason="tool_use",
        ),
        e.PolicyDecided(call_id="c1", decision="deny", rule="r", reason=long),
        e.ServerLost(server="orders", reason=long),
        started("c1", "get_order", {"key": "secret-value-1", "secret-value-1": [{"a": long}]}),
        finished("c1", long),
    )
    text = canonical(taken(*events, redactor=REDACT))
    assert "secret" not in text.replace("[secret:KEY]", "").replace("[secret", "")


def test_a_secret_that_reads_like_a_word_of_the_log_changes_no_word_of_it():
    redactor = Redactor({"KEY": "call_started", "TWO": "allow", "THREE": "tool"})
    found = taken(*EVENTS, redactor=redactor)
    assert [e["type"] for e in found] == [e["type"] for e in taken(*EVENTS)]
    assert all("tool" in e for e in found if e["type"] == "call_started")


def test_arguments_can_be_left_out_and_their_hash_stays():
    found = taken(*EVENTS, facts=Facts(arguments=False))
    assert not any({"arguments", "proposed", "approved"} & set(entry) for entry in found)
    call = next(e for e in found if e["type"] == "call_started")
    assert call["arguments_sha256"] == digest(READ.arguments)


def test_an_entry_is_bounded_whatever_comes():
    huge = {"a": "x" * 10_000_000}
    many = tuple(f"tool-{n}" for n in range(10_000))
    found = taken(
        STARTED,
        e.ToolsChanged(server="s" * 10_000, added=many),
        started("c" * 10_000, "get_order", huge),
        e.ToolFinished(
            result=ToolResult(call_id="c" * 10_000, content=(Text(text="x" * 10**7),), error=None)
        ),
    )
    assert max(len(canonical(entry)) for entry in found) < 3 * MAX_ARGUMENTS
    call = next(entry for entry in found if entry["type"] == "call_started")
    assert "arguments" not in call
    assert call["arguments_size"] > 10_000_000


def test_the_time_that_a_call_took_is_never_negative():
    # faults 9: the clock was set back meanwhile
    projection = Projection(FACTS)
    at = iter(["2026-11-25T10:00:00Z", "2026-11-25T11:00:00Z", "2026-11-25T10:30:00.250000Z"])
    for event in (STARTED, started("c1", "get_order", {}), finished("c1", "")):
        found = projection.take(e.Record(seq=0, at=next(at), run_id="r", event=event))
    assert found[0]["duration_ms"] == 0


def test_a_run_that_is_resumed_knows_its_open_calls():
    events = EVENTS[:9] + EVENTS[10:11]
    before = fold([*events])
    projection = Projection(FACTS)
    projection.resume(before)
    resumed = e.RunResumed(principal=ANA)
    (entry,) = projection.take(records(resumed)[0])
    assert entry["model"] == "big"
    (entry,) = projection.take(records(finished("c2", "refused", "denied"))[0])
    wanted = ("call_refused", "orders__refund", REFUND.arguments)
    assert (entry["type"], entry["name"], entry["arguments"]) == wanted


def test_of_a_call_whose_outcome_nobody_knows_that_is_said():
    (entry,) = taken(finished("c2", "?", "outcome_unknown"))
    assert (entry["type"], entry["outcome"]) == ("call_finished", "outcome_unknown")


@pytest.mark.parametrize("value", ["\ud800", "a\nb", "\x1b[2J", "x" * 100_000])
def test_hostile_texts_become_one_line_of_ascii(value):
    (entry,) = taken(e.ServerLost(server=value, reason=value))
    text = canonical(entry)
    assert text.isascii()
    assert "\n" not in text
    json.loads(text)


def test_no_server_or_model_makes_a_line_that_is_too_long_to_be_an_entry():
    letter = "\U0001f600"
    names, long = tuple(f"{letter * 300}{n}" for n in range(200)), letter * 5000
    arguments = {"a": letter * 1300}
    call = ToolCall(id=long, name=long, arguments=arguments)
    said = Message(role="assistant", content=(call,))
    terms = ApprovalTerms(approvers=names, needed=3)
    about = {"server": long, "tool": long, "fingerprint": long}
    asked = {"call_id": long, "rules": names, "reason": long, "terms": terms, **about}
    events = [
        e.ModelResponded(
            request_id="1", message=said, usage=Usage(), stop_reason="tool_use", model_served=long
        ),
        e.PolicyDecided(decision="ask", rule=long, origin=long, policy=long, **asked),
        e.ApprovalRequested(
            arguments=arguments,
            requester=long,
            requester_from=long,
            expires_at=long,
            binding=long,
            **asked,
        ),
        e.ApprovalGiven(
            call_id=long,
            decision="approve",
            by=long,
            arguments={"a": letter * 1300 + "x"},
            feedback=long,
            authenticated_by=long,
            roles=names,
            binding=long,
            via=long,
        ),
        e.ToolsChanged(server=long, added=names, removed=names, changed=names),
    ]
    projection = Projection(Facts(project=long))
    sizes = [
        len(seal(entry, 10**17, ZERO)[0])
        for event in events
        for entry in projection.take(e.Record(seq=0, at=WHEN, run_id=long, event=event))
    ]
    assert len(sizes) == 4
    assert max(sizes) <= MAX_LINE
    fields = {f"f{n}": long for n in range(40)} | {"names": list(names)}
    act = {**bounded(fields), "type": "pins_accepted", "time": WHEN}
    assert len(seal(act, 10**17, ZERO)[0]) <= MAX_LINE
