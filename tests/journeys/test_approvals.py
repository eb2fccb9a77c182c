"""A call that waits for a yes: given at another terminal, by the right people, while the run waits
or a day after its process was gone. What ran is read in the order desk's own database."""

import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fakes.identity_provider import IdentityProvider
from tests.fakes.programs import Ended, agent_host
from tests.fakes.ptys import Terminal
from tests.journeys.stage import _toml

CONFIG = """
model = "actor"

[models.actor]
adapter = "script"
path = "script.toml"

[servers.orders]
command = "agent-host"
args = ["demo-server", "--database", "desk.db", "--today", "2026-11-22"]
{more}
"""
REFUND = {"order_id": "12345", "amount": 20.5, "reason": "late"}
TURNS: tuple[dict[str, Any], ...] = (
    {
        "say": "I refund it.",
        "call": {"name": "orders__refund_order", "arguments": REFUND},
    },
    {"say": "Done."},
)
RULE = """
[[policy.rules]]
id = "refunds"
server = "orders"
tools = ["refund_*"]
effect = "ask"
reason = "money leaves the shop"
"""
LEADS = RULE + 'approvers = ["lead"]\nself_approval = false\n'
TWO = RULE + 'approvers = ["lead"]\napprovals = 2\nself_approval = false\n'
IDENTITY = """
[identity]
token = "${{env:ID_TOKEN}}"
issuer = "{url}"
audience = "agent-host"
"""


class Office:
    """A folder with the order desk, a run, and people at other terminals."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables: dict[str, str] = {}

    def furnish(self, more: str = "", *turns: Mapping[str, Any]) -> None:
        (self.folder / "servers.toml").write_text(CONFIG.format(more=more))
        script = (
            "".join(f"{key} = {_toml(value)}\n" for key, value in turn.items())
            for turn in (turns or TURNS)
        )
        (self.folder / "script.toml").write_text("".join(f"[[turn]]\n{one}\n" for one in script))

    def __call__(self, *arguments: str, **variables: str) -> Ended:
        return agent_host(*arguments, folder=self.folder, **(self.variables | variables))

    def run(self, *arguments: str, **variables: str) -> Ended:
        return self("run", "--trust", *arguments, **variables)

    def terminal(self, *arguments: str, **variables: str) -> Terminal:
        environ = {
            "XDG_DATA_HOME": "",
            "XDG_CONFIG_HOME": "",
            **self.variables,
            **variables,
        }
        return Terminal(*arguments, cwd=self.folder, environ=environ)

    def waiting(self, **variables: str) -> list[dict[str, Any]]:
        return json.loads(self("approvals", "list", "--json", **variables).out)

    def id(self) -> str:
        [one] = self.waiting()
        return str(one["id"])

    def refunds(self) -> list[tuple[str, int]]:
        """What the shop has paid back, in cents: the only proof that counts."""
        path = self.folder / "desk.db"
        if not path.exists():
            return []
        desk = sqlite3.connect(path)
        try:
            return desk.execute(
                "SELECT order_id, cents FROM refunds WHERE reason = 'late'"
            ).fetchall()
        finally:
            desk.close()

    def records(self, kind: str) -> list[dict[str, Any]]:
        [path] = (self.folder / "transcripts").glob("*.jsonl")
        events = [json.loads(line)["event"] for line in path.read_text().splitlines()]
        return [event for event in events if event["type"] == kind]

    def database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / ".local/share/agent-host/state.db")


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path)
    made.furnish(RULE)
    return made


@pytest.fixture
def issuer() -> Iterator[IdentityProvider]:
    with IdentityProvider(int(time.time())) as made:
        yield made


def people(office: Office, issuer: IdentityProvider, rule: str) -> Callable[..., str]:
    """Make users those of an issuer; return how one of them gets a token."""
    office.furnish(rule + IDENTITY.format(url=issuer.url))

    def token(name: str, *roles: str, **claims: Any) -> str:
        return issuer.token(sub=name, roles=list(roles), **claims)

    office.variables["ID_TOKEN"] = token("ana", "desk")
    return token


def test_a_run_is_parked_approved_with_other_arguments_and_resumed(office: Office) -> None:
    parked = office.run("--approve", "defer", "Refund it.")
    assert parked.status == 7
    assert office.refunds() == []
    [waiting] = office.waiting()
    assert f"agent-host approvals approve {waiting['id']}" in parked.err
    assert (waiting["arguments"], waiting["state"]) == (REFUND, "parked")
    assert (waiting["rule"], waiting["origin"].startswith("servers.toml:")) == ("refunds", True)

    with office.terminal("approvals", "approve", waiting["id"], "--set", "amount=4.9") as other:
        shown = other.wait("approve this? [y/N]")
        for wanted in ("tool      refund_order", "amount    4.9", "- amount  20.5"):
            assert wanted in shown
        assert "money leaves the shop" in shown
        other.keys("y\n")
        assert other.exit_status() == 0
        assert "the run is parked, go on with" in other.text
    assert office.refunds() == []

    resumed = office.run("--resume", "last")
    assert resumed.status == 0
    assert office.refunds() == [("12345", 490)]
    [given] = office.records("approval_given")
    assert (given["decision"], given["arguments"]["amount"]) == ("approve", 4.9)
    assert given["via"].startswith("approvals:")
    [started] = office.records("tool_started")
    assert started["arguments"] == {**REFUND, "amount": 4.9}
    assert office.waiting() == []


def test_a_run_that_waits_at_a_terminal_goes_on_when_another_one_answers(office: Office) -> None:
    with office.terminal("run", "--trust", "Refund it.") as here:
        here.wait("approve? [y/n/r/e/a/t]")
        [waiting] = office.waiting()
        assert waiting["state"] == "alive"
        done = office("approvals", "approve", waiting["id"], "--yes")
        assert (done.status, "the run has taken it" in done.out) == (0, True)
        assert here.exit_status() == 0
        assert "approved by" in here.text
        assert "from elsewhere" in here.text
    assert office.refunds() == [("12345", 2050)]


def test_a_no_from_another_terminal_ends_the_question_with_its_reason(office: Office) -> None:
    with office.terminal("run", "--trust", "Refund it.") as here:
        here.wait("approve? [y/n/r/e/a/t]")
        done = office("approvals", "deny", office.id(), "--reason", "ask the customer first")
        assert (done.status, done.out) == (0, "denied; the run has taken it\n")
        assert here.exit_status() == 4
        assert "ask the customer first" in " ".join(here.text.split())
    assert office.refunds() == []


def test_whoever_answers_first_counts_and_the_other_is_told(office: Office) -> None:
    """fault 27: an approval that comes twice, or late."""
    office.run("--approve", "defer", "Refund it.")
    number = office.id()
    assert office("approvals", "deny", number).status == 0
    assert office("approvals", "approve", number, "--yes").status == 0  # they think again
    assert office.run("--resume", "last").status == 0
    late = office("approvals", "approve", number, "--yes")
    assert late.status == 2
    assert "nothing waits for approval" in late.err
    assert office.refunds() == [("12345", 2050)]
    assert len(office.records("approval_given")) == 1


def test_the_one_who_asks_cannot_approve_where_another_has_to(
    office: Office, issuer: IdentityProvider
) -> None:
    token = people(office, issuer, LEADS)
    office.variables["ID_TOKEN"] = token("ana", "desk", "lead")
    office.run("--approve", "defer", "Refund it.")
    number = office.id()
    for arguments in ((), ("--set", "amount=1")):
        own = office("approvals", "approve", number, "--yes", "--trust", *arguments)
        assert own.status == 4
        assert "whoever asks for it cannot approve it" in own.err
    clerk = office("approvals", "approve", number, "--yes", "--trust", ID_TOKEN=token("bob"))
    assert (clerk.status, "it takes somebody with the role lead" in clerk.err) == (4, True)
    assert office.run("--resume", "last", "--approve", "defer").status == 7
    assert office.refunds() == []
    lead = office("approvals", "approve", number, "--yes", "--trust", ID_TOKEN=token("eve", "lead"))
    assert lead.status == 0
    assert office.run("--resume", "last").status == 0
    assert office.refunds() == [("12345", 2050)]
    [given] = office.records("approval_given")
    assert (given["by"], given["authenticated_by"], given["roles"]) == (
        "eve",
        issuer.url,
        ["lead"],
    )


def test_it_takes_two_of_two_people(office: Office, issuer: IdentityProvider) -> None:
    token = people(office, issuer, TWO)
    office.run("--approve", "defer", "Refund it.")
    number = office.id()

    def approve(name: str) -> Ended:
        return office(
            "approvals", "approve", number, "--yes", "--trust", ID_TOKEN=token(name, "lead")
        )

    first = approve("bob")
    assert "approved by bob; 1 more needed" in first.out
    assert office.run("--resume", "last", "--approve", "defer").status == 7
    assert office.refunds() == []
    listed = office("approvals", "list").out
    assert "approved by bob, 1 more needed" in listed
    again = approve("bob")
    assert (again.status, "bob has approved this already" in again.err) == (4, True)
    assert approve("eve").status == 0
    assert office.run("--resume", "last").status == 0
    assert office.refunds() == [("12345", 2050)]
    assert [given["by"] for given in office.records("approval_given")] == ["bob", "eve"]


def test_where_the_user_may_not_approve_the_terminal_offers_no_yes(
    office: Office, issuer: IdentityProvider
) -> None:
    token = people(office, issuer, LEADS)
    with office.terminal("run", "--trust", "Refund it.") as here:
        shown = here.wait("waiting for another person [n/r/l]")
        assert "agent-host approvals approve" in shown
        assert "NOT YOU" in shown
        here.keys("y\n")
        here.wait("you cannot approve this")
        here.keys("e\n")
        here.wait("you cannot approve this", times=2)
        number = office.id()
        done = office(
            "approvals", "approve", number, "--yes", "--trust", ID_TOKEN=token("eve", "lead")
        )
        assert done.status == 0
        assert here.exit_status() == 0
    assert office.refunds() == [("12345", 2050)]


def test_a_run_can_be_left_waiting(office: Office, issuer: IdentityProvider) -> None:
    people(office, issuer, LEADS)
    with office.terminal("run", "--trust", "Refund it.") as here:
        here.wait("waiting for another person [n/r/l]")
        here.keys("l\n")
        assert here.exit_status() == 7
        assert "--resume" in here.text
    assert [one["state"] for one in office.waiting()] == ["parked"]


# threat 47: what runs without people says no yes for them
def test_approve_all_says_no_yes_for_particular_people(
    office: Office, issuer: IdentityProvider
) -> None:
    people(office, issuer, LEADS)
    assert office.run("--approve", "all", "Refund it.").status == 7
    assert office.refunds() == []
    assert len(office.waiting()) == 1


@pytest.mark.parametrize("approve", ["ask", "none", "policy"])
def test_without_a_terminal_the_call_is_refused(office: Office, approve: str) -> None:
    assert office.run("--approve", approve, "Refund it.").status == 4
    assert office.refunds() == []
    assert office.waiting() == []


def test_a_run_that_was_killed_while_it_waited_is_approved_and_resumed(office: Office) -> None:
    """fault 1: kill -9."""
    with office.terminal("run", "--trust", "Refund it.") as here:
        here.wait("approve? [y/n/r/e/a/t]")
        psutil.Process(here.pid).send_signal(signal.SIGKILL)
        here.exit_status()
    [waiting] = office.waiting()
    assert waiting["state"] == "parked"
    assert office("approvals", "approve", waiting["id"], "--yes").status == 0
    assert office.run("--resume", "last").status == 0
    assert office.refunds() == [("12345", 2050)]


def test_an_interrupted_run_waits_for_nothing_any_more(office: Office) -> None:
    """fault 27: an approval for a run that was stopped."""
    with office.terminal("run", "--trust", "Refund it.") as here:
        here.wait("approve? [y/n/r/e/a/t]")
        number = office.id()
        here.keys("\x03")
        assert here.exit_status() == 130
    assert office.waiting() == []
    assert office("approvals", "approve", number, "--yes").status == 2
    assert office.run("--resume", "last").status in {0, 4}
    assert office.refunds() == []


def test_what_changes_between_the_yes_and_the_resume_does_not_run(office: Office) -> None:
    """The rule that asks is another one: the yes was to the first."""
    office.run("--approve", "defer", "Refund it.")
    assert office("approvals", "approve", office.id(), "--yes").status == 0
    office.furnish(RULE.replace('"refunds"', '"all-refunds"'))
    assert office.run("--resume", "last", "--approve", "defer").status == 7
    assert office.refunds() == []
    assert "what is asked has changed" in office("approvals", "list").out


def test_an_expired_question_is_answered_no_more(office: Office) -> None:
    office.furnish(RULE + 'expires = "4s"\n')
    office.run("--approve", "defer", "Refund it.")
    number = office.id()
    deadline = time.monotonic() + 20
    while not office.waiting()[0]["expired"] and time.monotonic() < deadline:
        pass
    late = office("approvals", "approve", number, "--yes")
    assert (late.status, "has expired" in late.err) == (4, True)
    assert office.run("--resume", "last").status == 4
    assert office.refunds() == []
    assert len(office.records("approval_expired")) == 1


# -- rows that somebody forged ---------------------------------------------------------------


def forge(office: Office, **answer: Any) -> None:
    """Write an answer as nobody but the program should."""
    [waiting] = office.waiting()
    row = {
        "binding": waiting["binding"],
        "run_id": waiting["run_id"],
        "call_id": waiting["call_id"],
        "decision": "approve",
        "by": "boss",
        "authenticated_by": "os",
        "roles": ["lead"],
        "answered_at": time.time(),
        "arguments": None,
        **answer,
    }
    columns = {name: row[name] for name in ("binding", "run_id", "call_id", "answered_at")}
    with office.database() as database:
        database.execute(
            "INSERT INTO approval_answers (binding, run_id, call_id, answered_at, answer) "
            "VALUES (:binding, :run_id, :call_id, :answered_at, :answer)",
            {**columns, "answer": json.dumps(row)},
        )
    database.close()


def why(office: Office) -> str:
    [line] = [
        line
        for line in office("approvals", "list").out.splitlines()
        if line.startswith("not taken")
    ]
    return line


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        ({"by": "boss"}, "needs an ID token"),
        ({"arguments": {"order_id": "12345"}}, "cannot run"),
        ({"arguments": {**REFUND, "amount": "all"}}, "cannot run"),
    ],
)
def test_a_forged_row_opens_nothing(office: Office, forged: dict[str, Any], reason: str) -> None:
    office.run("--approve", "defer", "Refund it.")
    me = psutil.Process().username()
    forge(office, **{"by": me, **forged})
    assert office.run("--resume", "last", "--approve", "defer").status == 7
    assert office.refunds() == []
    assert reason in why(office)


def test_roles_in_a_row_are_not_believed(office: Office) -> None:
    office.furnish(RULE + 'approvers = ["lead"]\n')
    office.run("--approve", "defer", "Refund it.")
    forge(office, by=psutil.Process().username(), roles=["lead"])
    assert office.run("--resume", "last", "--approve", "defer").status == 7
    assert "it takes somebody with the role lead" in why(office)
    assert office.refunds() == []


def test_a_row_that_names_a_person_of_the_issuer_needs_their_token(
    office: Office, issuer: IdentityProvider
) -> None:
    token = people(office, issuer, LEADS)
    eve = {"by": "eve", "authenticated_by": issuer.url}
    old = token("eve", "lead", iat=int(time.time()) - 9000, exp=int(time.time()) - 8000)
    for proof, reason in (
        ("", "not certain"),
        ("eyJhbGciOiJub25lIn0.e30.", "not certain"),
        (old, "not certain"),
        (token("ana", "lead"), "another person's"),
        (token("eve", "desk"), "the role lead"),
    ):
        for path in (office.folder / "transcripts").glob("*"):
            path.unlink()
        shutil.rmtree(office.folder / ".local", ignore_errors=True)
        assert office.run("--approve", "defer", "Refund it.").status == 7
        forge(office, **eve, proof=proof)
        assert office.run("--resume", "last", "--approve", "defer").status == 7
        assert reason in why(office), proof
    forge(office, **eve, proof=old, answered_at=time.time() - 8500)
    assert office.run("--resume", "last", "--approve", "defer").status == 7
    assert office.refunds() == []


def test_a_row_of_another_run_or_one_that_comes_back_opens_nothing(office: Office) -> None:
    """Two calls with the same arguments, in two runs: a yes to the one is none to the other, and
    none to the same call of the same run for a second time."""
    office.run("--approve", "defer", "Refund it.")
    first = office.waiting()[0]
    assert office("approvals", "approve", first["id"], "--yes").status == 0
    with office.database() as database:
        row = database.execute("SELECT * FROM approval_answers").fetchone()
    database.close()
    assert office.run("--resume", "last").status == 0
    assert office.refunds() == [("12345", 2050)]
    office.run("--approve", "defer", "Refund it.")
    second = office.waiting()[0]
    assert first["binding"] != second["binding"]
    with office.database() as database:
        values = (100, *row[1:])  # the very row, given again
        marks = ", ".join("?" * len(values))
        database.execute(f"INSERT INTO approval_answers VALUES ({marks})", values)
    database.close()
    assert office.run("--resume", "last", "--approve", "defer").status == 7
    assert office.refunds() == [("12345", 2050)]


def test_what_is_shown_is_read_in_the_transcript_and_not_in_the_row(office: Office) -> None:
    """threat 38: a row that shows less than what would run."""
    office.run("--approve", "defer", "Refund it.")
    with office.database() as database:
        database.execute(
            "UPDATE approval_questions SET question = json_set(question, '$.arguments', "
            "json('{\"amount\": 1}'), '$.tool', 'get_order', '$.terms.approvers', json('[]'))"
        )
    database.close()
    [waiting] = office.waiting()
    assert (waiting["arguments"], waiting["tool"]) == (REFUND, "refund_order")
    shown = office("approvals", "show", waiting["id"]).out
    assert "refund_order" in shown
    assert "20.5" in shown


# -- the list --------------------------------------------------------------------------------


def test_the_list_is_found_again_in_the_transcripts(office: Office) -> None:
    office.run("--approve", "defer", "Refund it.")
    before = office.waiting()
    shutil.rmtree(office.folder / ".local")
    [after] = office.waiting()
    for key in ("id", "binding", "arguments", "run_id", "config", "expires_at", "rule", "origin"):
        assert after[key] == before[0][key]
    with office.database() as database:
        database.execute("DELETE FROM approval_questions")
    database.close()
    assert office.waiting() == []
    assert "refund_order" in office("approvals", "list", "--rebuild").out
    assert office("approvals", "approve", office.id(), "--yes").status == 0
    assert office.run("--resume", "last").status == 0
    assert office.refunds() == [("12345", 2050)]


def test_questions_of_several_folders_stand_in_one_list(office: Office, tmp_path: Path) -> None:
    office.run("--approve", "defer", "Refund it.")
    there = Office(tmp_path / "there")
    there.folder.mkdir()
    there.furnish(RULE)
    there.variables["AGENT_HOST_STATE"] = str(tmp_path / ".local/share/agent-host")
    there.run("--approve", "defer", "Refund it.")
    waiting = office.waiting()
    assert [one["config"] for one in waiting] == [
        str(tmp_path / "servers.toml"),
        str(tmp_path / "there" / "servers.toml"),
    ]
    assert len({one["id"] for one in waiting}) == 2
    shutil.rmtree(there.folder / "transcripts")
    assert len(office.waiting()) == 1


def test_hostile_arguments_are_shown_whole_and_harmless(office: Office) -> None:
    """threats 12, 23, 24 and 38: in the list, in `show`, and before the yes."""
    hostile = "pаypal \u202e\x1b[2J\x1b]52;c;AA\x07" + "\nblank" * 60 + "\nthe end"
    call = {"name": "orders__refund_order", "arguments": {**REFUND, "reason": hostile[:190]}}
    office.furnish(RULE, {"say": "I refund it.", "call": call}, {"say": "Done."})
    office.run("--approve", "defer", "Refund it.")
    number = office.id()
    with office.terminal("approvals", "approve", number) as other:
        other.wait("more lines; Enter shows them")
        assert "approve this?" not in other.text
        other.keys("\n")
        other.wait("-- 1 more lines")
        other.keys("\n")
        other.wait("approve this? [y/N]")
        other.keys("\n")
        assert other.exit_status() == 4
        raw = bytes(other.raw)
    for text in (office("approvals", "list").out, office("approvals", "show", number).out):
        raw += text.encode()
    for payload in (b"\x1b[2J", b"\x1b]52", "\u202e".encode(), "pаypal".encode()):
        assert payload not in raw
    assert b"p\\u{430}ypal" in raw
    assert [one["id"] for one in office.waiting()] == [number]


def test_an_editor_changes_what_runs(office: Office) -> None:
    office.run("--approve", "defer", "Refund it.")
    number = office.id()
    editor = office.folder / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/20.5/3/ "$1"\n')
    editor.chmod(0o755)
    broken = office.folder / "broken"
    broken.write_text('#!/bin/sh\necho nonsense > "$1"\n')
    broken.chmod(0o755)
    gave_up = office("approvals", "approve", number, "--edit", "--yes", EDITOR=str(broken))
    assert (gave_up.status, "it waits as before" in gave_up.err) == (4, True)
    done = office("approvals", "approve", number, "--edit", "--yes", EDITOR=str(editor))
    assert done.status == 0
    assert office.run("--resume", "last").status == 0
    assert office.refunds() == [("12345", 300)]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_nothing_that_waits_can_be_read_by_other_users(office: Office) -> None:
    office.run("--approve", "defer", "Refund it.")
    for path in (office.folder / ".local/share/agent-host").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


def test_a_chat_goes_on_when_another_terminal_answers(office: Office) -> None:
    with office.terminal("chat", "--trust") as here:
        here.wait("servers: orders")
        here.keys("Refund it.\r")
        here.wait("approve? [y/n/r/e/a/t]")
        here.keys("half an answ")
        done = office("approvals", "approve", office.id(), "--set", "amount=7", "--yes")
        assert (done.status, done.out) == (0, "approved; the run has taken it\n")
        here.wait("Done.")
        assert "approved with other arguments by" in here.text
        here.keys("/quit\r")
        here.exit_status()
    assert office.refunds() == [("12345", 700)]


def test_an_always_can_be_written_into_the_config_and_is_no_broader_than_shown(
    office: Office,
) -> None:
    """threat 41: a rule for exactly these arguments, shown before it is written."""
    note = {"order_id": "12345", "note": 'é "quoted" \\ 😀'}
    turn = {"say": "I note it.", "call": {"name": "orders__add_note", "arguments": note}}
    office.furnish("", turn, {"say": "Done."})
    before = (office.folder / "servers.toml").read_text()
    with office.terminal("run", "--trust", "Note it.") as here:
        assert "w  always, also in later runs" in here.wait("approve? [y/n/r/e/a/t]")
        here.keys("w\n")
        shown = here.wait("write this, and say yes? [y/N]")
        assert 'tools = ["add_note"]' in shown
        here.repeat("\n", "nothing was written")
        assert (office.folder / "servers.toml").read_text() == before
        here.keys("w\n")
        here.wait("write this, and say yes? [y/N]", times=2)
        here.keys("y\n")
        assert here.exit_status() == 0
    after = (office.folder / "servers.toml").read_text()
    assert after.startswith(before.rstrip("\n"))
    assert office.run("Note it.").status == 0  # nobody is asked
    for change in ({"note": "else"}, {"order_id": "12346"}):
        other = {"name": "orders__add_note", "arguments": {**note, **change}}
        (office.folder / "script.toml").write_text(
            "".join(
                f"[[turn]]\n{''.join(f'{k} = {_toml(v)}' + chr(10) for k, v in one.items())}\n"
                for one in ({"say": "I note it.", "call": other}, {"say": "Done."})
            )
        )
        assert office.run("Note it.").status == 4
    assert office("policy", "check").status == 0


def test_what_a_rule_asks_for_is_not_offered_to_be_written(office: Office) -> None:
    with office.terminal("run", "--trust", "Refund it.") as here:
        assert "also in later runs" not in here.wait("approve? [y/n/r/e/a/t]")
        here.keys("w\n")
        here.wait("no rule of the config can say this")
        here.keys("n\n")
        assert here.exit_status() == 4
