"""`agent-host transcripts test`: a folder of recorded runs as a suite of tests."""

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.fakes.programs import ROOT, agent_host
from tests.fakes.provider_server import refusal
from tests.fakes.wires import CHAT
from tests.journeys.recordings import DAY, RECORDED, SCENES, prepare

RECORDINGS = ROOT / "transcripts"


@pytest.fixture
def folder(project: Path) -> Path:
    shutil.copytree(RECORDINGS, project / "transcripts")
    prepare(project, SCENES[0])
    return project / "transcripts"


def suite(here, *arguments, status=0):
    done = here("transcripts", "test", *arguments, "--json", "--trust")
    assert done.returncode == status, done.stderr + done.stdout
    document = json.loads(done.stdout)
    assert document["passed"] is (status == 0)
    return {run["run_id"]: run for run in document["runs"]}


def expect(folder, text):
    (folder / "expectations.toml").write_text(text)


def another_day(folder):
    config = folder.parent / "servers.toml"
    text = config.read_text()
    assert DAY in text
    config.write_text(text.replace(DAY, "2026-12-25"))


def tamper(folder, scene, old, new):
    path = folder / f"{RECORDED[scene]}.jsonl"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# -- from the record -------------------------------------------------------------------------


def test_the_projects_own_transcripts_are_a_suite_that_passes(tmp_path):
    done = agent_host("transcripts", "test", str(RECORDINGS), folder=tmp_path)
    assert done.status == 0, done.out + done.err
    *cases, total = done.out.splitlines()
    assert [line.split()[:2] for line in cases] == [["ok", run] for run in RECORDED.values()]
    assert total.startswith("6 runs: 6 passed, 0 failed")


def test_without_a_folder_the_transcripts_of_the_config_are_tested(here, folder):
    assert list(suite(here)) == list(RECORDED.values())


def test_a_run_that_leaves_its_record_fails_at_its_step_and_the_others_pass(here, folder):
    tamper(folder, "offline", '"principal_id":"demo"', '"principal_id":"somebody else"')
    runs = suite(here, status=1)
    bad = runs.pop(RECORDED["offline"])
    assert (bad["status"], bad["divergence"]["turn"]) == ("failed", 1)
    assert {run["status"] for run in runs.values()} == {"passed"}
    shown = here("transcripts", "test").stdout
    assert re.search(rf"FAILED +{RECORDED['offline']} ", shown)
    assert '+ came      "demo"' in shown
    assert "6 runs: 5 passed, 1 failed" in shown


def test_a_damaged_transcript_could_not_be_tried_and_fails_the_suite(here, folder):
    (folder / f"{RECORDED['offline']}.jsonl").write_bytes(b"{}\n{}\n")
    runs = suite(here, status=1)
    assert runs[RECORDED["offline"]]["status"] == "error"


def test_k_chooses_by_id_or_by_first_words(here, folder):
    assert list(suite(here, "-k", "SCRATCH")) == [RECORDED["approved"], RECORDED["edited"]]
    assert list(suite(here, "-k", RECORDED["denied"].lower())) == [RECORDED["denied"]]
    done = here("transcripts", "test", "-k", "no such words")
    assert done.returncode == 2
    assert "matches no run" in done.stderr


def test_a_folder_without_runs_passes_for_nothing(here, project):
    for name in (".", "no/such"):
        done = here("transcripts", "test", name)
        assert done.returncode == 2
        assert "folder of transcripts" in done.stderr


# -- real servers ----------------------------------------------------------------------------


def test_real_servers_return_what_is_recorded_and_people_answer_as_recorded(here, folder):
    runs = suite(here, "--live-tools", "--approve", "recorded")
    assert [run["status"] for run in runs.values()] == ["passed"] * 6
    # What was kept of them are replays, which are no cases of the next time.
    assert len(list(folder.glob("*.jsonl"))) == 12
    assert list(suite(here)) == list(RECORDED.values())


def test_nothing_is_approved_unless_that_was_asked_for(here, folder):
    runs = suite(here, "--live-tools", "-k", "desk mat", status=1)
    (run,) = runs.values()
    assert run["divergence"]["came"]["error"] == "denied"
    shown = here("transcripts", "test", "--live-tools", "-k", "desk mat", "--trust").stdout
    assert "--approve recorded" in shown


def test_a_recorded_answer_is_only_for_the_question_that_was_asked(here, folder):
    tamper(folder, "approved", '"amount":25,', '"amount":26,')
    text = (folder / f"{RECORDED['approved']}.jsonl").read_text().splitlines(keepends=True)
    asked = [n for n, line in enumerate(text) if '"type":"approval_requested"' in line]
    text[asked[0]] = text[asked[0]].replace('"amount":26,', '"amount":25,')
    (folder / f"{RECORDED['approved']}.jsonl").write_text("".join(text))
    runs = suite(here, "--live-tools", "--approve", "recorded", "-k", "desk mat", status=1)
    (run,) = runs.values()
    assert run["divergence"]["came"]["error"] == "denied"
    assert "no such question in the record" in json.dumps(run["divergence"]["came"])


def test_another_result_is_shown_with_its_path_unless_that_path_is_ignored(here, folder):
    another_day(folder)
    runs = suite(here, "--live-tools", "-k", "my order", status=1)
    (run,) = runs.values()
    assert run["divergence"]["reason"] == "the tool returned something else"
    shown = here("transcripts", "test", "--live-tools", "-k", "my order", "--trust").stdout
    assert "content[0].text.status_text" in shown

    expect(folder, '[[ignore]]\ntools = "orders__*"\nresults = ["status_text"]\n')
    (run,) = suite(here, "--live-tools", "-k", "my order", status=1).values()
    was, now = (run["divergence"][side]["content"][0]["text"] for side in ("recorded", "came"))
    assert "status_text" not in was
    left = [name for name in was if was[name] != now[name]]

    paths = json.dumps(["status_text", *left])
    expect(folder, f'[[ignore]]\ntools = "orders__*"\nresults = {paths}\n')
    suite(here, "--live-tools", "-k", "my order")
    expect(folder, f'[[ignore]]\ntools = "other__*"\nresults = {paths}\n')
    suite(here, "--live-tools", "-k", "my order", status=1)


def test_a_pattern_leaves_out_what_differs_in_any_text(here, folder):
    another_day(folder)
    expect(
        folder,
        """
[[ignore]]
patterns = [
    '\\d{4}-\\d\\d-\\d\\d',
    '(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, \\d+ \\w+ \\d{4}',
]
""",
    )
    runs = suite(here, "--live-tools", "--approve", "recorded", "-k", "my order")
    assert [run["status"] for run in runs.values()] == ["passed"]


def test_a_run_is_skipped_in_the_ways_that_are_named_with_the_reason(here, folder):
    expect(
        folder,
        f'[[skip]]\nruns = "{RECORDED["approved"][:14]}*"\nwith = ["live-tools"]\n'
        'reason = "money moves"\n',
    )
    runs = suite(here, "--live-tools", "-k", "desk mat")
    (run,) = runs.values()
    assert (run["status"], run["what"]) == ("skipped", "money moves")
    assert suite(here, "-k", "desk mat")[RECORDED["approved"]]["status"] == "passed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[ignored]]\n", 'expectations.toml:1: unknown key "ignored"'),
        ('[[ignore]]\nresult = ["a"]\n', 'expectations.toml:2: unknown key "result"'),
        ("[[ignore]]\n", "nothing is ignored"),
        ('[[ignore]]\nresults = ["a..b"]\n', "is no path"),
        ('[[ignore]]\npatterns = ["("]\n', "is no regular expression"),
        ('[[skip]]\nruns = "*"\n', "`reason` is missing"),
        ('[[skip]]\nruns = "*"\nreason = "r"\nwith = ["modell"]\n', "is no way to test"),
        ("ignore = 3\n", "must be [[ignore]] tables"),
        ("[[ignore]\n", "invalid TOML"),
    ],
)
def test_a_file_of_expectations_that_says_something_else_is_an_error(here, folder, text, said):
    expect(folder, text)
    done = here("transcripts", "test")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


# -- a model ---------------------------------------------------------------------------------

SCRIPT = """
[[turn]]
call = { name = "orders__get_order", arguments = { order_id = "12345" } }
[[turn]]
say = "It is on its way."
"""


def model(folder, text):
    (folder.parent / "model.toml").write_text(text)
    return "script:model.toml"


def test_a_model_with_the_same_calls_passes_whatever_its_words(here, folder):
    runs = suite(here, "-k", "my order", "--model", model(folder, SCRIPT))
    assert [run["status"] for run in runs.values()] == ["passed"]


def test_the_order_of_calls_made_together_does_not_matter(here, folder):
    text = SCRIPT.replace(
        "call = {",
        """call = [
    { name = "orders__list_refunds", arguments = { customer_id = "C-1001" } },
    { name = "orders__get_customer", arguments = { customer = "C-1001" } }, {""",
    ).replace('"12345" } }', '"12345" } } ]')
    suite(here, "-k", "refunded her", "--model", model(folder, text))


def test_a_model_with_other_arguments_fails_unless_these_are_ignored(here, folder):
    other = model(folder, SCRIPT.replace('"12345"', '"12345", trace = "t-1"'))
    (run,) = suite(here, "-k", "my order", "--model", other, status=1).values()
    assert run["divergence"]["reason"] == "other calls than recorded"
    expect(folder, '[[ignore]]\narguments = ["trace"]\n')
    # The call that is the same but for that gets the recorded result as well.
    expected = SCRIPT.replace("say =", 'expect = { contains = "DE4839201" }\nsay =')
    other = model(folder, expected.replace('"12345"', '"12345", trace = "t-1"'))
    suite(here, "-k", "my order", "--model", other)


def test_a_model_that_ends_in_another_way_fails(here, folder):
    text = SCRIPT.replace('say = "It is on its way."', 'say = "No."\nstop_reason = "refusal"')
    (run,) = suite(here, "-k", "my order", "--model", model(folder, text), status=1).values()
    assert run["divergence"]["recorded"] == {"outcome": "done"}
    assert run["divergence"]["came"] == {"outcome": "refused"}


def test_a_model_that_does_not_answer_is_an_error_with_a_status_of_its_own(here, folder):
    with CHAT.server() as server:
        server.default = lambda _: refusal(401, CHAT.error("no such key"))
        with (folder.parent / "servers.toml").open("a") as file:
            file.write(CHAT.config(server.url))
        done = here("transcripts", "test", "-k", "scratch", "--model", "m", "--trust")
    assert done.returncode == 6
    assert "2 could not be tried" in done.stdout
    assert "refused the key (HTTP 401)" in done.stdout


def test_a_name_that_is_no_model_is_a_wrong_command_line(here, folder):
    done = here("transcripts", "test", "--model", "nosuch", "--trust")
    assert (done.returncode, done.stdout) == (2, "")


# -- for CI ----------------------------------------------------------------------------------


def test_junit_is_parsed_with_counts_failures_and_skips(here, folder):
    tamper(folder, "offline", '"principal_id":"demo"', '"principal_id":"somebody else"')
    (folder / f"{RECORDED['parallel']}.jsonl").write_bytes(b"{}\n{}\n")
    expect(folder, f'[[skip]]\nruns = "{RECORDED["denied"]}"\nreason = "not today"\n')
    done = here("transcripts", "test", "--junit", "out.xml")
    assert done.returncode == 1
    top = ET.parse(folder.parent / "out.xml").getroot()
    assert (top.tag, top.attrib["tests"], top.attrib["failures"]) == ("testsuites", "6", "1")
    assert (top.attrib["errors"], top.attrib["skipped"]) == ("1", "1")
    cases = {case.attrib["name"].split()[0]: case for case in top.iter("testcase")}
    failure = cases[RECORDED["offline"]].find("failure")
    assert failure is not None
    assert "leaves the record at turn 1" in failure.attrib["message"]
    assert '"somebody else"' in str(failure.text)
    assert cases[RECORDED["parallel"]].find("error") is not None
    assert cases[RECORDED["denied"]].find("skipped").attrib["message"] == "not today"
    assert list(cases[RECORDED["edited"]]) == []


def test_junit_holds_whatever_is_in_a_transcript_as_text_and_nothing_that_xml_forbids(here, folder):
    words = json.dumps('</testcase><failure/> & "]]> \x00\x1b]0;t\x07 \ud800 \uffff \x85 end')[1:-1]
    tamper(folder, "offline", "What is the status of my order 12345?", words)
    tamper(folder, "offline", '"principal_id":"demo"', f'"principal_id":"{words}"')
    done = here("transcripts", "test", "--junit", "out.xml")
    assert done.returncode == 1
    data = (folder.parent / "out.xml").read_bytes()
    top = ET.fromstring(data.decode("utf-8", "strict"))
    assert len(list(top.iter("testcase"))) == 6
    assert len(list(top.iter("failure"))) + len(list(top.iter("error"))) == 1
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", data.decode())
    assert "\x1b" not in done.stdout


def test_junit_that_cannot_be_written_is_said(here, folder):
    done = here("transcripts", "test", "--junit", "no/such/out.xml")
    assert done.returncode == 2
    assert "no/such/out.xml" in done.stderr


def test_options_that_do_nothing_together_are_a_wrong_command_line(here, folder):
    assert here("transcripts", "test", "--approve", "all").returncode == 2
    with pytest.raises(SystemExit) as ended:
        here("transcripts", "test", "--model", "offline", "--live-tools")
    assert ended.value.code == 2
