"""`agent-host approvals`: what it prints, and what it refuses."""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_host.cli.approvals_answer import Answering, NotCountedError
from agent_host.cli.approvals_edit import edited
from agent_host.cli.approvals_found import Found, ago
from agent_host.config.load import load
from agent_host.core import events as e
from agent_host.core.approvals import binding
from agent_host.core.errors import UsageError
from agent_host.core.types import ApprovalTerms, Principal
from agent_host.records.codec import encode
from agent_host.state.approvals import Answered, Inbox, Waiting
from tests.fakes.screens import HOSTILE, tool
from tests.records.samples import REFUND, RUN, START, records, requested, responded, user

Run = Callable[..., Any]

OTHER = RUN[:-1] + "1"
ASKED = e.ApprovalRequested(
    call_id="call-2",
    server="orders",
    tool="refund",
    fingerprint="f" * 64,
    arguments=REFUND.arguments,
    rules=("large",),
    reason="more than 10",
    terms=ApprovalTerms(approvers=("lead",), needed=2),
    requester="ana",
    requester_from="os",
)


def parked(
    project: Path, run_id: str = RUN, *, more: tuple[e.Event, ...] = (), **asked: Any
) -> str:
    """Write the transcript of a run that waits; return the question's binding."""
    question = replace(ASKED, **asked)
    bound = binding(run_id, question, question.arguments, 0)
    question = replace(question, binding=bound)
    decided = e.PolicyDecided(
        call_id="call-2",
        decision="ask",
        rule="large",
        rules=("large",),
        reason=question.reason,
        origin="servers.toml:12",
        terms=question.terms,
    )
    story = (
        replace(START, run_id=run_id),
        user("Refund 12345"),
        requested("r1"),
        responded("r1", REFUND, stop="tool_use"),
        decided,
        question,
        *more,
    )
    folder = project / "transcripts"
    folder.mkdir(exist_ok=True)
    lines = b"".join(encode(record) + b"\n" for record in records(*story, run_id=run_id))
    (folder / f"{run_id}.jsonl").write_bytes(lines)
    (project / "servers.toml").write_text("")
    return bound


def inbox_of(environment: dict[str, str]) -> Inbox:
    return Inbox(Path(environment["HOME"]) / ".local/share/agent-host/state.db")


def test_nothing_that_waits_is_said_to_be_nothing(here: Run) -> None:
    done = here("approvals", "list")
    assert (done.returncode, done.stdout) == (0, "Nothing waits for approval.\n")
    assert here("approvals", "list", "--json").stdout == "[]\n"


def test_what_waits_says_what_why_who_and_where(here: Run, project: Path) -> None:
    bound = parked(project, expires_at="2999-01-01T00:00:00Z")
    lines = here("approvals", "list").stdout.splitlines()
    assert lines[0] == f'{bound[:8]}  orders · refund  order_id="12345" amount=20.5'
    assert lines[1].startswith(f"    run {RUN} of servers.toml is parked; asked ")
    assert "expires in" in lines[1]
    assert lines[2] == "    rule large (servers.toml:12): more than 10"
    assert lines[3] == "    for ana; takes 2 people with the role lead"


def test_the_same_for_programs(here: Run, project: Path) -> None:
    bound = parked(project)
    [document] = json.loads(here("approvals", "list", "--json").stdout)
    assert document == json.loads(here("approvals", "show", bound, "--json").stdout)
    wanted = {
        "id": bound[:8],
        "binding": bound,
        "run_id": RUN,
        "state": "parked",
        "expired": False,
        "missing": [{"roles": ["lead"], "needed": 2}],
        "answers": [],
        "resume": f"agent-host --config {project / 'servers.toml'} run --resume {RUN}",
    }
    assert wanted.items() <= document.items()


def test_show_says_all_that_whoever_approves_has_to_know(here: Run, project: Path) -> None:
    bound = parked(project)
    text = here("approvals", "show", bound[:4].upper()).stdout
    for part in (
        "takes     2 people with the role lead",
        "rule      large (servers.toml:12)",
        "│ amount    20.5",
        f"agent-host approvals approve {bound[:8]}",
        "agent-host --config",
    ):
        assert part in text


def test_an_id_that_is_none_says_which_there_are(here: Run, project: Path) -> None:
    one, other = parked(project), parked(project, OTHER)
    done = here("approvals", "show", "zzz")
    assert done.returncode == 2
    assert f"no waiting call 'zzz'; {one[:8]}, {other[:8]}" in done.stderr
    assert here("approvals", "show", "").returncode == 2


def test_a_beginning_of_two_ids_is_no_id(here: Run, project: Path) -> None:
    ids = [parked(project, f"{RUN[:-1]}{n}") for n in range(2, 20)]
    letters = [bound[0] for bound in ids]
    twice = next(letter for letter in letters if letters.count(letter) > 1)
    done = here("approvals", "show", twice)
    assert (done.returncode, "write more of the id" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "after",
    [
        (e.ApprovalGiven(call_id="call-2", decision="deny", by="bob"),),
        (e.ApprovalExpired(call_id="call-2"),),
        (e.RunEnded(reason="done"),),
    ],
)
def test_what_was_answered_waits_no_more(
    here: Run, project: Path, after: tuple[e.Event, ...]
) -> None:
    parked(project)
    assert "refund" in here("approvals", "list").stdout
    parked(project, more=after)
    assert here("approvals", "list").stdout == "Nothing waits for approval.\n"


def test_a_run_whose_transcript_is_gone_waits_no_more(here: Run, project: Path) -> None:
    bound = parked(project)
    here("approvals", "list")
    (project / "transcripts" / f"{RUN}.jsonl").unlink()
    assert here("approvals", "list").stdout == "Nothing waits for approval.\n"
    assert here("approvals", "approve", bound, "--yes").returncode == 2


def test_a_run_that_cannot_be_read_is_said_to_be_that_and_cannot_be_approved(
    here: Run, project: Path
) -> None:
    bound = parked(project)
    here("approvals", "list")
    path = project / "transcripts" / f"{RUN}.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"type":"user_said"', b'"type":"user_sad"'))
    assert "cannot be read" in here("approvals", "list").stdout
    done = here("approvals", "approve", bound, "--yes")
    assert (done.returncode, "cannot go on" in done.stderr) == (4, True)


def test_a_damaged_transcript_beside_it_hides_nothing(here: Run, project: Path) -> None:
    parked(project)
    (project / "transcripts" / f"{OTHER}.jsonl").write_text("nonsense\n")
    assert "refund" in here("approvals", "list", "--rebuild").stdout


def test_a_question_that_ran_out_long_ago_is_forgotten(here: Run, project: Path) -> None:
    parked(project, expires_at="2020-01-01T00:00:00Z")
    assert here("approvals", "list").stdout == "Nothing waits for approval.\n"


def test_an_answer_that_did_not_count_is_told_to_whoever_lists(
    here: Run, project: Path, environment: dict[str, str]
) -> None:
    bound = parked(project)
    here("approvals", "list")
    with inbox_of(environment) as inbox:
        number = inbox.answer(
            Answered(
                binding=bound,
                run_id=RUN,
                call_id="call-2",
                decision="approve",
                by="bob",
                authenticated_by="os",
                roles=(),
                answered_at=time.time(),
                about="orders · refund",
            )
        )
        given = inbox.look(number)
        assert given is not None
        assert "yes of bob waits for the run to take it" in here("approvals", "list").stdout
        inbox.refuse(given, "amount is not valid")
    last = here("approvals", "list").stdout.splitlines()[-1]
    assert last.startswith("not taken: the yes of bob to orders · refund, ")
    assert last.endswith("amount is not valid")


def test_who_may_not_approve_is_told_before_anything_is_asked(here: Run, project: Path) -> None:
    bound = parked(project)
    done = here("approvals", "approve", bound)
    assert done.returncode == 4
    assert "it takes somebody with the role lead" in done.stderr


def test_where_nobody_can_be_asked_a_yes_has_to_be_said(here: Run, project: Path) -> None:
    bound = parked(project, terms=None)
    done = here("approvals", "approve", bound)
    assert (done.returncode, "--yes" in done.stderr) == (2, True)


def test_a_config_that_is_gone_cannot_say_who_may_approve(here: Run, project: Path) -> None:
    bound = parked(project, terms=None)
    here("approvals", "list")
    (project / "servers.toml").unlink()
    done = here("approvals", "approve", bound, "--yes")
    assert done.returncode == 2
    assert "who may approve is said by the config of that run" in done.stderr


def test_hostile_text_stays_in_its_place(here: Run, project: Path) -> None:
    for text in HOSTILE:
        bound = parked(
            project,
            server=text,
            tool=text,
            arguments={text: text},
            reason=text,
            requester=text,
            terms=ApprovalTerms(approvers=(text,)),
        )
        shown = here("approvals", "list").stdout + here("approvals", "show", bound).stdout
        assert not set("\x1b\x9b\x9d\x90\x07\x08\x7f\u202e\u200b\U000e0041") & set(shown)


def test_spans_of_time_are_told_in_words() -> None:
    assert [ago(seconds) for seconds in (-5, 59, 60, 3600, 90000)] == [
        "0 s",
        "59 s",
        "1 min",
        "1 h",
        "1 d",
    ]


# -- other arguments -------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {
        "order": {"type": "string"},
        "amount": {"type": "number"},
        "items": {"type": "array"},
        "who": {"type": "object"},
    },
    "additionalProperties": False,
}
CAP = """
[[policy.rules]]
id = "cap"
when = "has(args.amount) && args.amount > 1000"
effect = "deny"
reason = "never that much"
"""
PROPOSED = {"order": "12345", "amount": 250, "items": [{"n": 1}, 2], "who": {"name": "ana"}}


def change(tmp_path: Path, *, schema: Any = SCHEMA, **given: Any) -> Any:
    parked(tmp_path)
    (tmp_path / "servers.toml").write_text(CAP)
    waiting = Waiting(
        binding="b" * 64,
        folder=str(tmp_path / "transcripts"),
        config="",
        run_id=RUN,
        call_id="c",
        server="orders",
        tool="refund",
        fingerprint="f",
        arguments=PROPOSED,
        asked_at=0.0,
        definition=replace(tool(), input_schema=schema) if schema else None,
    )
    to = Answering(
        one=Found(waiting=waiting, short="b" * 8, place="parked"),
        loaded=load(tmp_path / "servers.toml", {}),
        who=Principal(id="x"),
        proof="",
    )
    options = argparse.Namespace(**{"args": None, "set": None, "edit": False, **given})
    return edited(options, to)


@pytest.mark.parametrize(
    ("pairs", "changed"),
    [
        (["amount=25"], {"amount": 25}),
        (["amount=25.0"], {"amount": 25.0}),
        (["order=999"], {"order": "999"}),
        (["order=a=b"], {"order": "a=b"}),
        (["items.1=5", "items.0.n=7"], {"items": [{"n": 7}, 5]}),
        (["items=[]"], {"items": []}),
        (["who.name=eve"], {"who": {"name": "eve"}}),
        (["who.role=x, y"], {"who": {"name": "ana", "role": "x, y"}}),
        (["who={}"], {"who": {}}),
    ],
)
def test_single_arguments_are_changed(
    tmp_path: Path, pairs: list[str], changed: dict[str, Any]
) -> None:
    found = change(tmp_path, set=pairs)
    assert json.dumps(found) == json.dumps({**PROPOSED, **changed})
    assert PROPOSED["items"] == [{"n": 1}, 2]


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"set": ["amount"]}, UsageError, "is no KEY=VALUE"),
        ({"set": ["=5"]}, UsageError, "is no KEY=VALUE"),
        ({"set": ["items.7=5"]}, UsageError, "the list has 2 items"),
        ({"set": ["items.x.n=5"]}, UsageError, "the list has 2 items"),
        ({"set": ["amount.x=5"]}, UsageError, "nothing of that name"),
        ({"set": ["amount.x.y=5"]}, UsageError, "nothing of that name"),
        ({"set": ["amount=lots"]}, NotCountedError, "amount"),
        ({"set": ["other=1"]}, NotCountedError, "other"),
        ({"set": ['amount=1}, "x": {"y": 2']}, NotCountedError, "amount"),
        ({"set": ["amount=1001"]}, NotCountedError, "policy denies this call .rule cap.: never"),
        ({"args": "[]"}, UsageError, "must be a JSON object"),
        ({"args": "{"}, UsageError, "no valid JSON"),
        ({"args": '{"amount": NaN}'}, UsageError, "NaN is no JSON"),
        ({"args": '{"amount": "1"}'}, NotCountedError, "amount"),
    ],
)
def test_what_is_no_change_or_cannot_run_is_refused(
    tmp_path: Path, given: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        change(tmp_path, **given)


def test_whole_arguments_take_the_place_of_the_proposed(tmp_path: Path) -> None:
    assert change(tmp_path, args='{"amount": 1}') == {"amount": 1}
    assert change(tmp_path) is None


@pytest.mark.parametrize("schema", [None, {"$ref": "http://example.com/schema"}])
def test_where_the_schema_is_not_known_here_the_run_looks(tmp_path: Path, schema: Any) -> None:
    assert change(tmp_path, schema=schema, set=["other=1"])["other"] == 1


@pytest.mark.parametrize(
    ("editor", "error", "words"),
    [
        ("false", NotCountedError, "the editor ended with status 1"),
        ("/no/such/editor", UsageError, "cannot be started"),
    ],
)
def test_an_editor_that_fails_approves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    editor: str,
    error: type[Exception],
    words: str,
) -> None:
    monkeypatch.setenv("VISUAL", editor)
    with pytest.raises(error, match=words):
        change(tmp_path, edit=True)
