"""`agent-host transcripts compare`: models beside a record, records beside each other."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from agent_host.cli.side_by_side import side_by_side
from agent_host.surfaces.cells import width_of
from tests.fakes.programs import ROOT
from tests.fakes.provider_server import refusal
from tests.fakes.wires import CHAT, MESSAGES
from tests.journeys.recordings import RECORDED

PARALLEL, OFFLINE = RECORDED["parallel"], RECORDED["offline"]

ACME = """
[[turn]]
say = "I look."
call = [
    { name = "orders__list_refunds", arguments = { customer_id = "C-1001" } },
    { name = "orders__get_order", arguments = { order_id = "12345" } },
    { name = "orders__get_customer", arguments = { customer = "C-1001" } },
]
[[turn]]
say = "It went out with DHL."
usage = { input_tokens = 2010, output_tokens = 31 }
"""

ZETA = """
[[turn]]
call = [
    { name = "orders__get_order", arguments = { order_id = "12345" } },
    { name = "orders__get_order", arguments = { order_id = "777" } },
]
[[turn]]
say = "Shipped."
usage = { input_tokens = 1000, output_tokens = 3 }
"""

BROKEN = """
[[turn]]
expect = { contains = "nothing of that kind" }
say = "Never."
"""

CONFIG = """
model = "offline"
[models.acme]
adapter = "script"
path = "acme.toml"
[models.zeta]
adapter = "script"
path = "zeta.toml"
[models.broken]
adapter = "script"
path = "broken.toml"
"""


@pytest.fixture
def folder(project: Path) -> Path:
    shutil.copytree(ROOT / "transcripts", project / "transcripts")
    (project / "servers.toml").write_text(CONFIG)
    for name, text in {"acme": ACME, "zeta": ZETA, "broken": BROKEN}.items():
        (project / f"{name}.toml").write_text(text)
    return project / "transcripts"


def compared(here, *arguments, status=0):
    done = here("transcripts", "compare", *arguments, "--trust", "--json")
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def test_two_models_stand_beside_the_record_with_their_calls_answers_and_tokens(here, folder):
    document = compared(here, PARALLEL, "--model", "acme", "--model", "zeta")
    (run,) = document["runs"]
    was = run["recorded"]["attempts"][0]
    assert (was["turns"], len(was["calls"]), was["outcome"]) == (2, 3, "done")
    acme, zeta = (column["attempts"][0] for column in run["models"])
    assert [column["name"] for column in run["models"]] == ["acme", "zeta"]
    # The order of calls that were made together says nothing.
    assert (acme["same"], acme["common_calls"], acme["extra_calls"]) == (True, 3, [])
    assert acme["answer"] == "It went out with DHL."
    assert (acme["usage"]["input_tokens"], acme["usage"]["output_tokens"]) == (2010, 31)
    assert (zeta["same"], zeta["common_calls"]) == (False, 1)
    assert zeta["extra_calls"] == [{"tool": "orders__get_order", "arguments": {"order_id": "777"}}]
    assert [one["tool"] for one in zeta["missing_calls"]] == [
        "orders__get_customer",
        "orders__list_refunds",
    ]
    assert zeta["unrecorded_calls"] == 1


def test_people_see_a_table_with_marked_calls_and_that_no_ai_answered(here, folder):
    done = here("transcripts", "compare", PARALLEL, "--model", "acme", "--model", "zeta", "--trust")
    assert done.returncode == 0
    rows = {line.split("  ")[0]: line for line in done.stdout.splitlines() if line}
    assert "3: 3 as recorded" in rows["calls"]
    assert "2: 1 as recorded, 1 extra, 2 missing" in rows["calls"]
    assert '+ orders__get_order order_id="777"' in done.stdout
    assert '- orders__list_refunds customer_id="C-1001"' in done.stdout
    assert done.stdout.count("none, no AI") == 3
    assert "zeta: 1 call not in the record, and not executed" in done.stdout


def test_a_model_that_fails_is_a_column_that_says_why_beside_one_that_answers(here, folder):
    document = compared(here, PARALLEL, "--model", "broken", "--model", "acme", status=6)
    broken, acme = (column["attempts"][0] for column in document["runs"][0]["models"])
    assert "nothing of that kind" in broken["failure"]
    assert (broken["same"], acme["same"], acme["failure"]) == (False, True, "")


def test_a_model_that_cannot_be_asked_is_a_column_as_well(here, folder):
    (folder.parent / "acme.toml").unlink()
    document = compared(here, PARALLEL, "--model", "acme", "--model", "zeta", status=6)
    acme, zeta = (column["attempts"][0] for column in document["runs"][0]["models"])
    assert "acme.toml" in acme["failure"]
    assert (acme["outcome"], acme["cost"], zeta["answer"]) == (None, None, "Shipped.")


def test_a_name_that_is_no_model_is_told_before_another_one_is_asked(here, folder):
    arguments = ("transcripts", "compare", PARALLEL, "--model", "acme", "--model", "acmee")
    done = here(*arguments, "--trust")
    assert (done.returncode, done.stdout) == (2, "")
    assert "acmee" in done.stderr


def test_times_asks_again_and_adds_up(here, folder):
    document = compared(here, PARALLEL, "--model", "acme", "--times", "3")
    assert len(document["runs"][0]["models"][0]["attempts"]) == 3
    recorded, acme = document["totals"]
    assert (recorded["attempts"], acme["attempts"], acme["same"]) == (1, 3, 3)
    assert acme["usage"]["input_tokens"] == 3 * 2010
    arguments = ("transcripts", "compare", PARALLEL, "--model", "acme", "--times", "3")
    shown = here(*arguments).stdout
    assert "3 of 3" in shown
    assert "6,030 (2,010 each)" in shown


def test_of_several_attempts_the_first_that_differs_is_shown(here, folder):
    order = [("call_1", "orders__get_order", json.dumps({"order_id": n})) for n in ("12345", "7")]
    with CHAT.server() as server:
        for call in (order[0], order[1], order[0]):
            server.plays += [CHAT.says([], [call], "end"), CHAT.says(["Shipped."], [], "end")]
        config = CHAT.config(server.url) + "price = { input = 1.0, output = 1.0 }\n"
        (folder.parent / "servers.toml").write_text('model = "offline"\n' + config)
        arguments = ("transcripts", "compare", OFFLINE, "--model", "m", "--times", "3", "--trust")
        shown = here(*arguments).stdout
    assert "2 of 3" in shown
    assert "1: 0 as recorded, 1 extra, 1 missing (attempt 2)" in shown
    assert "(under $0.0001 each)" in shown


def test_several_runs_are_a_row_each_and_totals(here, folder):
    done = here("transcripts", "compare", PARALLEL, OFFLINE, "--model", "acme", "--trust")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[1].split()[:2] == [PARALLEL, "done"]
    assert lines[1].endswith("as recorded")
    assert lines[2].startswith(OFFLINE)
    assert "other at turn 1" in lines[2]
    assert any(line.startswith("as recorded") and line.endswith("1 of 2") for line in lines)


def test_recorded_runs_stand_beside_each_other_without_a_model_or_a_config(here, project):
    paths = [str(ROOT / "transcripts" / f"{run}.jsonl") for run in (PARALLEL, OFFLINE)]
    done = here("transcripts", "compare", *paths)
    assert done.returncode == 0
    assert f"recorded {PARALLEL}" in done.stdout
    assert "1: 1 as recorded, 2 missing" in done.stdout


def test_a_damaged_transcript_is_said_and_the_others_are_compared(here, folder):
    path = folder / f"{OFFLINE}.jsonl"
    path.write_bytes(b"{}\n" + path.read_bytes())
    document = compared(here, OFFLINE, PARALLEL, "--model", "acme", status=1)
    bad, good = document["runs"]
    assert "damaged" in bad["error"]
    assert good["models"][0]["attempts"][0]["same"] is True


def test_nothing_is_written_and_no_server_started(here, folder):
    before = sorted(folder.iterdir())
    compared(here, PARALLEL, "--model", "acme")
    assert sorted(folder.iterdir()) == before


def test_what_cannot_be_compared_is_a_wrong_command_line(here, folder):
    assert here("transcripts", "compare", PARALLEL).returncode == 2
    done = here("transcripts", "compare", PARALLEL, OFFLINE, "--times", "2")
    assert done.returncode == 2
    assert "--model" in done.stderr


def vendor(name, wire, server, **more):
    return wire.config(server.url, **more).replace("[models.m]", f"[models.{name}]")


def test_two_vendors_are_asked_at_the_same_time_and_an_unknown_price_stays_unknown(here, folder):
    order = ("call_1", "orders__get_order", '{"order_id": "12345"}')
    together = threading.Barrier(2)

    def answers(wire, words):
        plays = iter([wire.says([], [order], "end"), wire.says([words], [], "end")])

        def answer(_):
            together.wait(30)  # nobody is answered until both have asked
            return next(plays)

        return answer

    with CHAT.server() as one, MESSAGES.server() as two, CHAT.server() as three:
        one.default, two.default = answers(CHAT, "Shipped."), answers(MESSAGES, "It is out.")
        three.default = lambda _: refusal(401, CHAT.error("no such key"))
        (folder.parent / "servers.toml").write_text(
            'model = "offline"\n'
            + vendor("one", CHAT, one)
            + "price = { input = 1000.0, output = 1000.0 }\n"
            + vendor("two", MESSAGES, two)
            + vendor("three", CHAT, three)
        )
        models = ("--model", "one", "--model", "two", "--model", "three")
        (run,) = compared(here, OFFLINE, *models, status=6)["runs"]
    first, second, third = (column["attempts"][0] for column in run["models"])
    assert (first["answer"], first["same"]) == ("Shipped.", True)
    assert (second["answer"], second["same"]) == ("It is out.", True)
    assert not any(column["simulated"] for column in run["models"])
    assert first["cost"] == pytest.approx(2 * (12 + 3) / 1000)
    assert second["cost"] is None
    assert first["usage"]["input_tokens"] > 0
    assert "refused the key (HTTP 401)" in third["failure"]
    assert (third["outcome"], third["cost"]) == ("model_unavailable", None)


def test_a_hostile_answer_moves_nothing_on_the_screen(here, folder):
    bad = "\\u001b[2J\\u001b]0;title\\u0007\\u202e evil"
    (folder.parent / "acme.toml").write_text(f'[[turn]]\nsay = "{bad}"\n'.replace("\\\\", "\\"))
    for more in ((), ("--full",)):
        done = here("transcripts", "compare", PARALLEL, "--model", "acme", "--trust", *more)
        assert done.returncode == 0
        assert "evil" in done.stdout
        assert not set(done.stdout) & {"\x1b", "\x07", "\u202e"}


def test_full_shortens_nothing(here, folder):
    words = "word " * 300 + "end."
    (folder.parent / "acme.toml").write_text(f'[[turn]]\nsay = "{words}"\n')
    arguments = ("transcripts", "compare", PARALLEL, "--model", "acme", "--trust")
    assert "end." not in here(*arguments).stdout
    assert "end." in here(*arguments, "--full").stdout


HEADS = ("recorded\nvendor:one", "two")
ROWS = [("answer", ("All of it was refunded to her. " * 4, "短い答え" * 30)), ("turns", ("2", "3"))]


@pytest.mark.parametrize("room", [20, 40, 80, 200])
def test_no_line_is_wider_than_the_screen_and_nothing_is_lost(room):
    lines = list(side_by_side(HEADS, ROWS, room))
    assert max(map(width_of, lines)) <= room
    text = "".join(lines)
    assert text.count("refunded") == 4
    assert text.count("短") == 30


def test_columns_stand_beside_each_other_on_80_columns_and_below_on_30():
    assert any(line.split() == ["turns", "2", "3"] for line in side_by_side(HEADS, ROWS, 80))
    lines = list(side_by_side(HEADS, ROWS, 30))
    at = lines.index("turns")
    assert [line.split() for line in lines[at + 1 :]] == [["1", "2"], ["2", "3"]]
