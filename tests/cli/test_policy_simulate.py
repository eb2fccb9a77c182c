import json
import os
import time

import pytest

from agent_host.core import events as e
from agent_host.core.errors import ExitStatus
from agent_host.core.types import LabelSeen, Message, Principal, Text, ToolCall, ToolResult
from agent_host.policy.recorded import GRANT
from agent_host.records.codec import encode
from tests.cli.policies import POLICY, TOOLS, write
from tests.records.samples import ORIGIN

BASE = "01KAP4AAAA00000000000000"
PRINTS = {tool.tool: tool.fingerprint for tool in TOOLS}


def said(text="go", labels=()):
    return e.UserSaid(message=Message(role="user", content=(Text(text=text),)), labels=labels)


def answered(number, *calls, cost=None):
    request = f"q{number}"
    return [
        e.ModelRequested(request_id=request, provider="local", model="llama"),
        e.ModelResponded(
            request_id=request,
            message=Message(role="assistant", content=calls, origin=ORIGIN),
            stop_reason="tool_use",
            cost=cost,
        ),
    ]


def call(number, tool, **arguments):
    return ToolCall(id=f"c{number}", name=f"crm__{tool}", arguments=arguments)


def decided(one, decision="ask", rule="default", **more):
    tool = one.name.removeprefix("crm__")
    known = {"server": "crm", "tool": tool, "fingerprint": PRINTS.get(tool, "")}
    return e.PolicyDecided(call_id=one.id, decision=decision, rule=rule, **{**known, **more})


def ran(one, labels=()):
    tool = one.name.removeprefix("crm__")
    started = e.ToolStarted(
        call_id=one.id,
        server="crm",
        tool=tool,
        fingerprint=PRINTS.get(tool, "f" * 64),
        arguments=one.arguments,
    )
    result = ToolResult(call_id=one.id, content=(Text(text="ok"),), labels=labels)
    return [started, e.ToolFinished(result=result)]


def approved(one, by="ann"):
    tool = one.name.removeprefix("crm__")
    return [
        e.ApprovalRequested(
            call_id=one.id,
            server="crm",
            tool=tool,
            fingerprint=PRINTS[tool],
            arguments=one.arguments,
        ),
        e.ApprovalGiven(call_id=one.id, decision="approve", by=by),
    ]


def refused(one, error="denied"):
    result = ToolResult(call_id=one.id, content=(Text(text="no"),), error=error)
    return [e.ToolFinished(result=result)]


def run(folder, number, *events, user="ann", at="2026-03-01T12:00:{:02}.000000Z", raw=b""):
    run_id = f"{BASE}{number:02}"
    who = Principal(id=user)
    start = e.RunStarted(
        run_id=run_id, principal=who, provider="local", model="llama", adapter="openai-chat"
    )
    flat = [start, *(x for one in events for x in (one if isinstance(one, list) else [one]))]
    lines = [
        encode(e.Record(seq=seq, at=at.format(seq % 60), run_id=run_id, event=event))
        for seq, event in enumerate(flat)
    ]
    folder.mkdir(exist_ok=True)
    (folder / f"{run_id}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines) + raw)
    return run_id


@pytest.fixture
def folder(project):
    write(project)
    return project / "transcripts"


def simulated(here, *arguments, **variables):
    done = here("policy", "simulate", "--json", *arguments, **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def asked_and_ran(number, amount, **more):
    one = call(number, "refund", order="1", amount=amount)
    return [answered(number, one), decided(one, **more), approved(one), ran(one)]


def flat(*parts):
    return [x for part in parts for one in part for x in (one if isinstance(one, list) else [one])]


def test_each_call_is_compared_with_what_was_decided(here, folder):
    small, big, huge, read = (
        call(1, "refund", order="1", amount=20),
        call(2, "refund", order="1", amount=500),
        call(3, "refund", order="1", amount=5000),
        call(4, "get_order", order="1"),
    )
    run(
        folder,
        1,
        said(),
        answered(1, small, big, huge, read),
        decided(small),
        approved(small),
        ran(small),
        decided(big),
        refused(big),
        decided(huge),
        approved(huge),
        ran(huge),
        decided(read, "allow", "reads"),
        ran(read),
    )
    found = simulated(here)
    assert (found["runs"], found["calls"]) == (1, 4)
    assert found["verdicts"] == {"looser": 1, "same": 1, "stricter": 2}
    changes = [(g["was"], g["now"], g["tool"], g["rule"]) for g in found["groups"]]
    assert changes == [
        ("ask", "allow", "refund", "small"),
        ("allow", "ask", "get_order", "default"),
        ("ask", "deny", "refund", "huge"),
        ("ask", "ask", "refund", "big"),
    ]
    (example,) = found["groups"][2]["examples"]
    assert example["run"] == f"{BASE}01"
    assert example["arguments"] == '{"order": "1", "amount": 5000}'
    assert example["ran"] is True


def test_the_text_says_what_is_looser_first_with_rule_place_and_example(cli, folder):
    run(folder, 1, said(), *flat(asked_and_ran(1, 20)))
    done = cli("policy", "simulate")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("1 run, 1 call from 2026-03-01 12:00 to 2026-03-01 12:00: 0 same, ")
    assert lines[2:4] == [
        "was, now     allow     ask    deny",
        "ask              1       .       .",
    ]
    assert lines[5:] == [
        "LOOSER",
        "  ask -> allow  crm/refund: 1 call, rule small (servers.toml:14)",
        f"      {BASE}01 2026-03-01 12:00 " + '{"order": "1", "amount": 20}  ask by default, ran',
    ]


def test_running_totals_are_simulated_over_the_recorded_times(here, folder):
    run(folder, 1, said(), *flat(*(asked_and_ran(n, 90) for n in range(1, 5))))
    found = simulated(here)
    assert found["verdicts"] == {"looser": 3, "same": 1}  # threat 45
    later = "2026-03-03T12:00:{:02}.000000Z"
    run(folder, 2, said(), *flat(asked_and_ran(1, 90)), at=later)
    assert simulated(here)["verdicts"] == {"looser": 4, "same": 1}
    run(folder, 3, said(), *flat(asked_and_ran(1, 90)), user="bob")
    assert simulated(here)["verdicts"] == {"looser": 5, "same": 1}


def test_what_is_asked_counts_only_where_it_ran(here, folder):
    big = [call(n, "refund", order="1", amount=150) for n in range(1, 3)]
    small = call(9, "refund", order="1", amount=90)
    run(
        folder,
        1,
        said(),
        *flat([answered(1, big[0]), decided(big[0]), approved(big[0]), ran(big[0])]),
        *flat([answered(2, big[1]), decided(big[1]), refused(big[1])]),
        *flat([answered(3, small), decided(small), approved(small), ran(small)]),
    )
    assert [g["rule"] for g in simulated(here)["groups"] if g["verdict"] == "looser"] == ["small"]


def test_state_db_is_neither_read_nor_written(here, folder, tmp_path):
    run(folder, 1, said(), *flat(asked_and_ran(1, 20)))
    state = tmp_path / "state"
    simulated(here, AGENT_HOST_STATE=str(state))
    assert not state.exists()
    state.mkdir()
    (state / "state.db").write_bytes(b"no database")
    assert simulated(here, AGENT_HOST_STATE=str(state))["verdicts"] == {"looser": 1}
    assert (state / "state.db").read_bytes() == b"no database"


def test_labels_and_cost_are_as_they_were_at_that_call(here, folder, project):
    policy = (
        '[policy]\ndefault = "allow"\nflow = "off"\n'
        '[[policy.rules]]\nid = "dear"\nserver = "crm"\neffect = "deny"\nwhen = "run.cost > 1.0"\n'
        '[[policy.rules]]\nid = "flow2"\nserver = "crm"\ntools = ["send"]\neffect = "ask"\n'
        'when = \'"private" in run.labels || "mine" in run.labels\'\n'
    )
    write(project, policy)
    sends = [call(n, "send", to="x") for n in range(1, 5)]
    read = call(9, "get_order", order="1")
    run(
        folder,
        1,
        said(),
        *flat([answered(1, sends[0], cost=0.2), decided(sends[0], "allow"), ran(sends[0])]),
        # Recorded without labels: those that the config gives the tool now count.
        *flat([answered(2, read, cost=0.2), decided(read, "allow"), ran(read)]),
        *flat([answered(3, sends[1], cost=0.2), decided(sends[1], "allow"), ran(sends[1])]),
        *flat([answered(4, sends[2], cost=0.9), decided(sends[2], "allow"), ran(sends[2])]),
    )
    run(
        folder,
        2,
        said(labels=(LabelSeen(label="mine", server="s", tool="t"),)),
        *flat([answered(1, sends[3], cost=0.1), decided(sends[3], "allow"), ran(sends[3])]),
    )
    found = simulated(here)
    assert {(g["rule"], g["count"]) for g in found["groups"]} == {
        ("default", 1),
        ("flow2", 2),
        ("dear", 1),
    }


def test_the_hour_and_the_roles_are_those_of_the_call(here, folder, project):
    policy = (
        '[policy]\ndefault = "allow"\n[policy.roles]\nboss = ["cho"]\n'
        '[[policy.rules]]\nid = "night"\nserver = "crm"\neffect = "deny"\n'
        "when = 'now.getHours() < 6 && !(\"boss\" in user.roles)'\n"
    )
    write(project, policy)
    night = "2026-03-01T03:00:{:02}.000000Z"
    for number, (user, at) in enumerate(
        [("ann", night), ("cho", night), ("ann", night.replace("T03", "T12"))], 1
    ):
        one = call(1, "send", to="x")
        run(
            folder,
            number,
            said(),
            *flat([answered(1, one), decided(one, "allow"), ran(one)]),
            user=user,
            at=at,
        )
    found = simulated(here)
    assert found["verdicts"] == {"same": 2, "stricter": 1}


def test_an_always_of_a_session_counts_as_what_policy_asked(here, folder):
    first, second = (call(n, "send", to="x") for n in (1, 2))
    run(
        folder,
        1,
        said(),
        *flat([answered(1, first), decided(first), approved(first), ran(first)]),
        *flat([answered(2, second), decided(second, "allow", f"{GRANT}c1"), ran(second)]),
    )
    assert simulated(here)["verdicts"] == {"same": 2}


def test_definitions_that_changed_and_tools_that_are_gone_are_said(here, folder):
    old, gone = call(1, "send", to="x"), call(2, "wipe", all=True)
    run(
        folder,
        1,
        said(),
        answered(1, old, gone),
        decided(old, fingerprint="0" * 64),
        refused(old),
        decided(gone),
        refused(gone),
    )
    found = simulated(here)
    assert found["changed"] == [{"server": "crm", "tool": "send", "count": 1}]
    assert found["unknown"] == [{"server": "crm", "tool": "wipe", "count": 1}]
    out = here("policy", "simulate").stdout
    assert "crm/send: the definition has changed since (1 call)" in out
    assert "crm/wipe: is not known any more" in out


def test_an_older_record_tells_its_tool_by_the_name_that_the_model_used(here, folder):
    one = call(1, "refund", order="1", amount=20)
    odd = ToolCall(id="c2", name="never__seen", arguments={})
    run(
        folder,
        1,
        said(),
        answered(1, one, odd),
        decided(one, server="", tool="", fingerprint=""),
        refused(one),
        decided(odd, server="", tool="", fingerprint=""),
        refused(odd),
    )
    found = simulated(here)
    assert (found["verdicts"], found["untold"]) == ({"looser": 1}, 1)


def test_a_damaged_transcript_is_reported_and_left_out(here, folder):
    run(folder, 1, said(), *flat(asked_and_ran(1, 20)))
    path = folder / f"{run(folder, 2, said(), *flat(asked_and_ran(1, 20)))}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], b"{broken\n", *lines[5:]]))
    (folder / f"{BASE}03.jsonl").write_bytes(b"\x00\xff")
    one = call(1, "refund", order="1", amount=20)
    run(folder, 4, said(), decided(one))
    run(folder, 5, said(), *flat(asked_and_ran(1, 20)), raw=b'{"torn')
    done = here("policy", "simulate", "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert (found["runs"], found["calls"]) == (2, 2)
    assert len(found["problems"]) == 4
    told = here("policy", "simulate").stderr
    assert told.count("agent-host: left out: ") == 3
    assert "no whole record" in told


def test_since_and_named_runs_narrow_what_is_looked_at(here, folder):
    today = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() - 3600))
    run(folder, 1, said(), *flat(asked_and_ran(1, 20)))
    new = run(folder, 2, said(), *flat(asked_and_ran(1, 20)), at=today + ":{:02}.000000Z")
    assert simulated(here)["calls"] == 2
    assert simulated(here, "--since", "30d")["calls"] == 1
    assert simulated(here, f"{BASE}01")["calls"] == 1
    assert simulated(here, "last")["groups"][0]["examples"][0]["run"] == new
    assert here("policy", "simulate", "--since", "soon").returncode == ExitStatus.USAGE
    assert here("policy", "simulate", "01X").returncode == ExitStatus.USAGE


def test_another_file_of_rules_can_be_tried(here, folder, project):
    run(folder, 1, said(), *flat(asked_and_ran(1, 20)))
    (project / "try.toml").write_text(
        '[[policy.rules]]\nid = "none"\nserver = "crm"\ntools = ["refund"]\neffect = "deny"\n'
    )
    found = simulated(here, "--policy", "try.toml")
    assert [(g["now"], g["rule"], g["where"]) for g in found["groups"]] == [
        ("deny", "none", "try.toml:1")
    ]
    assert here("policy", "simulate", "--policy", "no.toml").returncode == ExitStatus.USAGE


def test_nothing_of_a_transcript_reaches_the_terminal_raw(cli, folder):
    evil = "\x1b]0;x\x07\u202e\x1b[2J"
    one = ToolCall(id=evil, name="crm__refund", arguments={evil: evil, "amount": 20})
    other = ToolCall(id="b", name="crm__x", arguments={})
    run(
        folder,
        1,
        said(),
        answered(1, one, other),
        decided(one, "deny", evil, reason=evil, server="crm", tool="refund"),
        refused(one),
        decided(other, "deny", evil, server=evil, tool=evil, fingerprint=evil),
        refused(other),
    )
    for more in ((), ("--all",), ("--json",)):
        done = cli("policy", "simulate", *more)
        assert done.returncode == 0
        for raw in ("\x1b", "\x07", "\u202e"):
            assert raw not in done.stdout + done.stderr


def test_no_transcripts_are_no_error(here, project):
    write(project)
    assert here("policy", "simulate").stdout.startswith("0 runs, 0 calls: 0 same")


def test_ten_thousand_calls_cost_little_more_each_than_a_thousand(here, folder, project):
    """Not quadratic: by the work of one run in the number of its calls."""
    write(project, POLICY)

    def spent(runs):
        for path in folder.glob("*.jsonl") if folder.exists() else ():
            path.unlink()
        for number in range(runs):
            run(folder, number, said(), *flat(*(asked_and_ran(n, 1) for n in range(1, 101))))
        begun = os.times()
        assert simulated(here)["calls"] == 100 * runs
        ended = os.times()
        return ended.user + ended.system - begun.user - begun.system

    spent(1)
    few, many = spent(5), spent(20)
    assert many < 8 * few + 1
