"""Running totals in rules: splitting does not help, racing does not help, and trouble asks."""

import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest

from agent_host.core.calls import CallState
from agent_host.core.conversation import Conversation
from agent_host.core.types import Principal, ToolCall
from agent_host.policy import expressions
from agent_host.policy.rules import RulePolicy
from agent_host.policy.totals import amount, units_of
from tests.policy.made import ANA, NOW, decide, policy, tool

BUDGET = """
[policy]
default = "allow"
[[policy.rules]]
id = "budget"
when = 'total_after("refunds") > 200'
effect = "ask"
[policy.totals.refunds]
server = "orders"
tools = ["refund*"]
value = "args.amount"
"""


def standing(made, arguments=None, principal=ANA, about=None):
    """What the total stands at, before and after a call that is not made."""
    found = made.explain(
        arguments or {"amount": 0}, about or tool(), Conversation(run_id="?"), principal
    )
    return found.totals.get("refunds")


def test_five_refunds_of_99_are_asked_about_once_they_add_up(tmp_path):  # threat 45
    made = policy(tmp_path, BUDGET)
    said = [decide(made, {"amount": 99}, call=f"c{number}").decision for number in range(5)]
    assert said == ["allow", "allow", "ask", "ask", "ask"]
    assert standing(made) == (198.0, 198.0)


def test_another_run_and_another_process_go_on_where_the_first_was(tmp_path):  # threat 45
    decide(policy(tmp_path, BUDGET), {"amount": 150})
    later = policy(tmp_path, BUDGET, now=NOW + 3600)
    other = Conversation(run_id="another")
    assert decide(later, {"amount": 99}, conversation=other).decision == "ask"
    assert decide(later, {"amount": 50}, conversation=other).decision == "allow"
    tomorrow = policy(tmp_path, BUDGET, now=NOW + 86400)
    assert decide(tomorrow, {"amount": 99}, conversation=other).decision == "allow"


def test_a_total_is_kept_for_each_user(tmp_path):
    made = policy(tmp_path, BUDGET)
    decide(made, {"amount": 150})
    bo = Principal(id="bo")
    assert decide(made, {"amount": 150}, principal=bo, call="c2").decision == "allow"
    assert standing(made) == (150.0, 150.0)


def test_a_total_for_all_and_one_for_each_account(tmp_path):
    made = policy(tmp_path, BUDGET + "per = []\n")
    decide(made, {"amount": 150})
    bo = Principal(id="bo")
    assert decide(made, {"amount": 150}, principal=bo, call="c2").decision == "ask"
    by_account = policy(tmp_path, BUDGET + 'per = ["user.id", "args.account"]\n')
    for account in ("x", 7, True, None, ["x"], {"a": 1}):
        call = {"amount": 150, "account": account}
        assert decide(by_account, call, call=f"c{account}").decision == "allow"
        assert decide(by_account, call, call="again").decision == "ask"
    assert decide(by_account, {"amount": 1}).rule == "budget"


def test_only_calls_of_its_tools_count_and_others_may_be_judged_by_it(tmp_path):
    made = policy(tmp_path, BUDGET)
    decide(made, {"amount": 150}, about=tool("pay"), call="c1")
    decide(made, {"amount": 150}, about=tool("refund", "shop"), call="c2")
    assert standing(made) == (0.0, 0.0)
    decide(made, {"amount": 201}, about=tool("refund_x"), call="c3")
    assert standing(made) == (0.0, 0.0)
    decide(made, {"amount": 200}, about=tool("refund_x"), call="c4")
    about = tool("export")
    assert standing(made, about=about) == (200.0, 200.0)
    strict = policy(tmp_path, BUDGET.replace("> 200", ">= 200"))
    assert decide(strict, {}, about=about).decision == "ask"


def test_what_is_asked_about_counts_once_a_person_lets_it_run(tmp_path):
    made = policy(tmp_path, BUDGET)
    conversation, call = Conversation(run_id="run"), ToolCall(id="c1", name="n", arguments={})
    assert decide(made, {"amount": 300}).decision == "ask"
    assert standing(made) == (0.0, 0.0)
    edited = {"amount": 250.25}
    assert made.begin(call, edited, tool(), conversation, ANA) is None
    assert made.begin(call, edited, tool(), conversation, ANA) is None
    assert standing(made) == (250.25, 250.25)
    made.end(conversation, "c1")
    assert standing(made) == (0.0, 0.0)


def test_a_call_that_is_judged_again_replaces_what_it_counted(tmp_path):
    decide(policy(tmp_path, BUDGET), {"amount": 150})
    resumed = policy(tmp_path, BUDGET)
    assert decide(resumed, {"amount": 180}).decision == "allow"
    assert standing(resumed) == (180.0, 180.0)
    assert decide(resumed, {"amount": 300}).decision == "ask"
    assert standing(resumed) == (180.0, 180.0)  # it may have run: nobody has said that it did not


def test_what_a_process_counted_before_it_died_counts(tmp_path):
    (tmp_path / "servers.toml").write_text(BUDGET)
    code = (
        "import os, sys\nfrom pathlib import Path\n"
        "from tests.policy.made import decide, policy_in\n"
        "made = policy_in(Path(sys.argv[1]))\n"
        "decide(made, {'amount': 150})\n"
        "os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    assert done.returncode == 9
    assert standing(policy(tmp_path, BUDGET)) == (150.0, 150.0)


RACER = """
import sys
from dataclasses import replace
from pathlib import Path
from agent_host.core.calls import CallState
from agent_host.core.conversation import Conversation
from tests.policy.made import decide, policy_in

made = policy_in(Path(sys.argv[1]))
conversation = Conversation(run_id=sys.argv[2])
calls = [{"amount": 0.1, "account": 0}] * 20 + [{"amount": 5, "account": n} for n in range(1, 41)]
decide(made, {"amount": 0, "account": "none"}, conversation=conversation)
print("ready", flush=True)
sys.stdin.readline()
said = [
    decide(made, arguments, call=str(number), conversation=conversation).decision
    for number, arguments in enumerate(calls)
]
print(said[:20].count("allow"), said[20:].count("allow"))
"""


def test_two_processes_that_race_never_exceed_a_total(tmp_path):
    text = BUDGET.replace("> 200", "> 5") + 'per = ["args.account"]\n'
    (tmp_path / "servers.toml").write_text(text)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path), f"run{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 3
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    allowed = [racer.communicate(timeout=120)[0].split() for racer in racers]
    assert sum(int(small) for small, _ in allowed) == 50  # fifty times 0.1 is 5, not a little less
    assert sum(int(whole) for _, whole in allowed) == 40  # each account's 5 went to one of them
    made = policy(tmp_path, text)
    for account in range(41):
        assert standing(made, {"amount": 0, "account": account}) == (5.0, 5.0)


def test_what_is_read_and_what_is_written_of_a_decision_are_one_transaction(tmp_path):
    made = policy(tmp_path, BUDGET)
    decide(made, {"amount": 1})
    said = []
    made._kept._open().set_trace_callback(lambda text: said.append(text.split()[0]))
    decide(made, {"amount": 50}, call="c2")
    first, *inside, last = [word for word in said if word not in {"UPDATE", "DELETE"}]
    assert (first, inside, last) == ("BEGIN", ["SELECT", "INSERT"], "COMMIT")
    said.clear()
    decide(made, {"amount": 500}, call="c3")
    assert [word for word in said if word != "UPDATE"] == ["BEGIN", "SELECT", "COMMIT"]


@pytest.mark.parametrize(
    "arguments",
    [{}, {"amount": "9"}, {"amount": -5}, {"amount": None}, {"amount": True}, {"amount": [1]}]
    + [{"amount": value} for value in (float("nan"), float("inf"), 1e400, 1e13, 2**70)],
)
def test_what_cannot_be_counted_is_asked_about_even_where_no_rule_reads_the_total(
    tmp_path, arguments
):
    text = BUDGET[: BUDGET.index("[[policy.rules]]")] + BUDGET[BUDGET.index("[policy.totals") :]
    made = policy(tmp_path, text)
    answer = decide(made, arguments)
    assert (answer.decision, answer.rule) == ("ask", "totals")
    assert answer.reason.startswith('the call cannot be counted in the total "refunds": ')
    call = ToolCall(id="c1", name="n", arguments={})
    assert made.begin(call, arguments, tool(), Conversation(run_id="run"), ANA) is None
    assert standing(made, {"amount": 0}) == (0.0, 0.0)


def test_a_value_may_be_worked_out_and_calls_may_be_counted(tmp_path):
    value = "args.quantity * args.price"
    made = policy(tmp_path, BUDGET.replace("args.amount", value))
    assert decide(made, {"quantity": 3, "price": 33.35}).decision == "allow"
    assert standing(made, {"quantity": 0, "price": 1}) == (100.05, 100.05)
    (tmp_path / "state.db").unlink()
    calls = policy(tmp_path, BUDGET.replace('value = "args.amount"', "").replace("> 200", "> 2"))
    said = [decide(calls, {}, call=f"c{number}").decision for number in range(3)]
    assert said == ["allow", "allow", "ask"]


READS = (
    BUDGET.replace('"ask"', '"deny"')
    + """
[[policy.rules]]
id = "quiet"
when = 'total("refunds") < 100'
effect = "allow"
"""
)


@pytest.mark.parametrize("broken", ["garbage", "folder", "hidden"])
def test_where_totals_cannot_be_kept_nothing_that_counts_is_allowed(tmp_path, broken):
    path = tmp_path / "state.db"
    allowing = '[policy]\ndefault = "allow"\n' + BUDGET[BUDGET.index("[policy.totals") :]
    if broken == "garbage":
        path.write_bytes(b"this is no database, however long one looks at it " * 50)
    elif broken == "folder":
        path.mkdir()
    else:
        decide(policy(tmp_path, allowing), {"amount": 1})
        with sqlite3.connect(path) as db:
            db.execute("DROP TABLE totals")
            db.execute("CREATE VIEW totals AS SELECT 1 AS run")
        db.close()
    made = policy(tmp_path, allowing)
    answer = decide(made, {"amount": 1})
    assert (answer.decision, answer.rule) == ("ask", "totals")
    assert "state.db" in answer.reason
    assert decide(policy(tmp_path, READS), {"amount": 1}).decision == "deny"
    call, conversation = ToolCall(id="c9", name="n", arguments={}), Conversation(run_id="run")
    problem = made.begin(call, {"amount": 1}, tool(), conversation, ANA)
    assert problem is not None
    assert "state.db" in problem
    made.end(conversation, "c9")
    found = made.explain({"amount": 1}, tool(), conversation, ANA)
    assert "state.db" in str(found.totals["refunds"])


def test_a_rule_that_allows_by_a_total_allows_nothing_where_it_is_not_known(tmp_path):
    text = READS.replace('default = "allow"', 'default = "ask"')
    assert decide(policy(tmp_path, text), {"amount": 1}).rule == "quiet"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "state.db").mkdir()
    about = tool("export")
    broken = policy(tmp_path / "other", text.replace('"deny"', '"ask"'))
    assert decide(broken, {}, about=about).rule == "budget"


def test_values_are_counted_by_their_digits_and_rounded_up():
    assert sum(units_of(0.1) for _ in range(100)) == 10_000_000
    assert (units_of(0.1234567), units_of(1e-9), units_of(0), units_of(-0.0)) == (123457, 1, 0, 0)
    assert units_of(10**12) == 10**18
    assert amount(units_of(19.99)) == 19.99
    for value in (-1, 1e13, float("nan"), float("inf"), "5", None, True):
        assert isinstance(units_of(value), str)


def test_a_total_that_is_kept_for_what_has_no_plain_value_counts_nothing(tmp_path):
    made = policy(tmp_path, BUDGET + 'per = ["now"]\n')
    answer = decide(made, {"amount": 1})
    assert answer.rules == ("budget", "totals")
    assert "what it is counted for has no plain value" in answer.reason


def test_what_counts_in_no_total_costs_nothing(tmp_path):
    made, conversation = policy(tmp_path, BUDGET), Conversation(run_id="run")
    call, about = ToolCall(id="c1", name="n", arguments={}), tool("look")
    assert made.begin(call, {}, about, conversation, ANA) is None
    made.end(conversation, "c1")
    assert not (tmp_path / "state.db").exists()
    policy(tmp_path, '[policy]\ndefault = "deny"\n').end(conversation, "c1")


def test_totals_without_a_place_to_keep_them_allow_nothing(tmp_path):
    kept = policy(tmp_path, BUDGET)
    homeless = RulePolicy([], "allow", language=expressions, totals=kept.totals)
    assert decide(homeless, {"amount": 1}).rule == "totals"


def test_explaining_counts_nothing(tmp_path):
    made = policy(tmp_path, BUDGET)
    assert standing(made, {"amount": 150}) == (0.0, 150.0)
    assert not (tmp_path / "state.db").exists()


def test_a_denied_call_counts_nothing(tmp_path):
    text = BUDGET + '[[policy.rules]]\nid = "no"\nwhen = "args.amount > 10"\neffect = "deny"\n'
    made = policy(tmp_path, text)
    assert decide(made, {"amount": 50}).decision == "deny"
    assert standing(made) == (0.0, 0.0)


LIMIT = """
[policy]
default = "ask"
[[policy.rules]]
id = "limit"
when = 'total_after("refunds") > 200'
effect = "EFFECT"
[policy.totals.refunds]
server = "orders"
tools = ["refund*"]
value = "args.amount"
"""


def turn(*amounts, requests=1):
    """A turn of calls that were judged while nothing was counted, and that people said yes to."""
    calls = tuple(
        CallState(
            call=ToolCall(id=f"c{place}", name="orders__refund", arguments={"amount": amount}),
            arguments={"amount": amount},
            decision="ask",
            rule="default",
            rules=("default",),
            approval="approve",
        )
        for place, amount in enumerate(amounts)
    )
    return Conversation(run_id="run", calls=calls, phase="tools", requests=requests)


@pytest.mark.parametrize("effect", ["deny", "ask"])
def test_calls_that_wait_for_a_yes_side_by_side_do_not_pass_a_total_together(tmp_path, effect):
    made = policy(tmp_path, LIMIT.replace("EFFECT", effect))
    both = turn(150, 150)
    for state in both.calls:
        said = decide(made, state.arguments, call=state.call.id, conversation=both)
        assert (said.decision, said.rule) == ("ask", "default")
    first, second = (
        made.begin(state.call, state.arguments, tool(), both, ANA) for state in both.calls
    )
    assert first is None
    assert second is not None
    assert "limit" in second
    assert standing(made) == (150.0, 150.0)


def test_a_yes_to_the_rule_that_reads_the_total_holds_though_the_total_moved(tmp_path):
    made = policy(tmp_path, LIMIT.replace("EFFECT", "ask"))
    decide(made, {"amount": 150}, call="other")
    made.begin(
        ToolCall(id="other", name="n", arguments={}),
        {"amount": 150},
        tool(),
        Conversation(run_id="other"),
        ANA,
    )
    asked = turn(150)
    agreed = replace(asked, calls=(replace(asked.calls[0], rules=("limit",)),))
    call = agreed.calls[0]
    assert made.begin(call.call, call.arguments, tool(), agreed, ANA) is None
    assert standing(made) == (300.0, 300.0)


def test_an_id_that_a_provider_uses_again_in_a_later_turn_counts_again(tmp_path):
    made = policy(tmp_path, BUDGET)
    said = [
        decide(made, {"amount": 99}, conversation=turn(99, requests=n), call="c0").decision
        for n in range(1, 5)
    ]
    assert said == ["allow", "allow", "ask", "ask"]
    made.end(turn(99, requests=2), "c0")
    assert standing(made) == (99.0, 99.0)
