"""`agent-host models test`."""

import json
import re
import signal
import subprocess
import threading

import pytest

from tests.fakes.capable import CAPABLE, KEY, LONG, CapableChat
from tests.fakes.chat_server import stream, text
from tests.fakes.programs import command, environment
from tests.fakes.ptys import Terminal

CONFIG = """\
[models.mine]
adapter = "{adapter}"
base_url = "{url}"
model = "fake-1"
api_key = "${{env:FAKE_KEY}}"
"""


def configured(project, server, more=""):
    (project / "servers.toml").write_text(
        CONFIG.format(adapter=server.adapter, url=server.url) + more
    )


def test_a_card_is_written_in_80_columns_and_what_failed_says_why(here, project):
    with CapableChat(flaw="ignores tools") as server:
        configured(project, server)
        done = here("models", "test", "mine", "--trust", FAKE_KEY=KEY)
        url = server.url
    shown = done.stdout.replace(url.split(":")[2].removesuffix("/v1"), "PPPPP")
    shown = re.sub(r"\d+\.\d+(?= s\b)", lambda found: re.sub(r"\d", "0", found[0]), shown)
    shown = re.sub(r"\b\d+ pieces", "N pieces", shown)
    assert done.returncode == 1
    assert shown == CARD, shown
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert done.stderr == (
        "agent-host: 13 requests, about 8,210 tokens in and 616 out, cost unknown\n"
    )


CARD = """\
mine: fake-1 by openai-chat at http://127.0.0.1:PPPPP/v1
reach             ok           0.00 s  connected, the key accepted
text              ok           0.00 s  254,998 characters in 0.0 s: "one, two,
                                       three, one, two, three, one, two, three,
                                       one, two…"
stream            ok           0.00 s  N pieces, the first after 0.00 s
usage             ok           0.00 s  counts 6,089 of about 6,819 tokens, 3
                                       out; recalls what stood at the start
stop_reason       ok           0.00 s  end_turn of a whole answer, max_tokens of
                                       one of 16 tokens
one_call          failed       0.00 s  no call, with tool_choice required: it
                                       said "Yes."
two_calls         failed       0.00 s  no call, with tool_choice required: it
                                       said "Yes."
results           ok           0.00 s  2 of another model's calls, an error
                                       among them: "It was shipped on 12 March.
                                       Of the other order nothing is k…"
image             ok           0.00 s  seen: "Orange." for a picture that is
                                       orange
reasoning         note         0.00 s  not asked for: no `effort` is set for
                                       this model
schema            ok           0.00 s  valid, asked in words: "{"city": "Lima",
                                       "country": "Peru", "inhabitants":
                                       10000000}"
long_tool_schema  ok           0.00 s  taken: 2,464 characters with $ref, anyOf
                                       at the root, an odd key
cancellation      ok           0.00 s  closed in 0.00 s; the next request works
bad_key           ok           0.00 s  a wrong key is refused: 127.0.0.1:PPPPP
                                       refused the key (HTTP 401): Incorrect API
                                       key provided: ***; check the API key and
                                       what it may use
unknown_model     ok           0.00 s  refused as not_found: 127.0.0.1:PPPPP
                                       does not know the model
                                       'agent-host-no-such-model' at
                                       http://127.0.0.1:PPPPP/v1 (HTTP 404): The
                                       model agent-host-no-such-model does not
                                       exist; check `model` and `base_url`
12 ok, 2 failed, 0 not taken, 1 note; 11 answers, 8,413 tokens in and 63,801
out, cost unknown
"""


@pytest.mark.parametrize("server_of", CAPABLE, ids=lambda one: one.adapter)
def test_of_each_wire_a_card_without_failures_is_a_success(server_of, here, project):
    price = "price = { input = 2.0, output = 10.0 }\n"
    with server_of() as server:
        configured(project, server, price)
        done = here("models", "test", "mine", "--trust", "--json", FAKE_KEY=KEY)
    card = json.loads(done.stdout)
    states = {check["check"]: check["state"] for check in card["checks"]}
    assert done.returncode == 0, card
    assert "failed" not in states.values()
    assert (states["bad_key"], states["unknown_model"]) == ("ok", "ok")
    assert (card["adapter"], card["model"], card["where"]) == (
        server_of.adapter,
        "fake-1",
        server.url,
    )
    assert card["exit_status"] == 0
    # What was priced is the sum of what was counted; the answer that was closed was not.
    used = card["usage"]
    assert card["cost"] == pytest.approx(
        (used["input_tokens"] * 2 + used["output_tokens"] * 10) / 1e6
    )
    assert card["of_unknown_cost"] == 1
    assert card["estimate"]["cost"] == pytest.approx((8210 * 2 + 616 * 10) / 1e6)
    assert "13 requests, about 8,210 tokens in and 616 out, about $0.0226\n" in done.stderr


def test_what_it_has_cost_is_said_in_the_end(here, project):
    with CapableChat() as server:
        configured(project, server, "price = { input = 1000.0, output = 1000.0 }\n")
        done = here("models", "test", "mine", "--trust", "--only", "cancellation", FAKE_KEY=KEY)
    assert re.search(
        r"2 ok, 0 failed, 0 not taken, 0 notes; 3 answers, [\d,]+ tokens in and [\d,]+ out,"
        r" \$[\d.]+ and 1 of unknown cost$",
        done.stdout.replace("\n", " ").strip(),
    )


def test_an_endpoint_needs_no_table_of_its_own(here, project):
    (project / "servers.toml").write_text("")
    with CapableChat(flaw="unlocked") as server:
        name = f"openai-chat+{server.url}:fake-1"
        done = here("models", "test", name, "--only", "text, bad_key")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"fake-1 by openai-chat at {server.url}\n")
    rows = [line.split()[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert rows[1:4] == ["reach", "text", "bad_key"]
    assert "takes any key" in done.stdout
    assert "no key is set" in done.stdout


def test_an_endpoint_needs_no_config_at_all(here, project):
    with CapableChat(flaw="unlocked") as server:
        name = f"{server.adapter}+{server.url}:fake-1"
        done = here("models", "test", name, "--only", "text")
    assert done.returncode == 0, done.stderr
    assert "connected" in done.stdout
    assert not (project / "servers.toml").exists()


def test_what_cannot_be_reached_has_a_status_of_its_own(here, project):
    with CapableChat() as server:
        configured(project, server)
        done = here("models", "test", "mine", "--trust", FAKE_KEY="wrong")
        assert done.returncode == 6
        assert "refused the key (HTTP 401)" in re.sub(r"\s+", " ", done.stdout)
    done = here("models", "test", "mine", "--trust", FAKE_KEY=KEY)
    assert done.returncode == 6
    assert "is it running?" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 ok, 1 failed, 0 not taken, 0 notes"


def test_a_server_that_hangs_is_waited_for_as_long_as_was_said(here, project):
    with CapableChat(stream(end="hang")) as server:
        configured(project, server)
        done = here("models", "test", "mine", "--trust", "--timeout", "0.3", FAKE_KEY=KEY)
        assert server.left.wait(10)
    assert done.returncode == 6
    assert "no whole answer within 0.3 s" in done.stdout


@pytest.mark.parametrize("name", ["offline", "played", "script:turns.toml"])
def test_what_is_no_ai_cannot_be_certified(name, here, project):
    (project / "servers.toml").write_text('[models.played]\nadapter = "replay"\npath = "x.jsonl"\n')
    done = here("models", "test", name)
    assert done.returncode == 2
    assert f"{name} is no AI: nothing is reached, so there is nothing to certify" in done.stderr
    assert done.stdout == ""


def test_wrong_words_are_one_line(here, project, capsys):
    (project / "servers.toml").write_text("")
    done = here("models", "test", "openai:x", "--only", "txt", OPENAI_API_KEY="k")
    assert done.returncode == 2
    assert '--only: there is no check "txt"; did you mean "text"?' in done.stderr
    done = here("models", "test", "opnai:x")
    assert (done.returncode, done.stdout) == (2, "")
    assert 'there is no model "opnai:x"; did you mean "openai"?' in done.stderr
    done = here("models", "test", "openai:x")
    assert "set OPENAI_API_KEY" in done.stderr
    for wrong in ("0", "soon", "nan", "inf"):
        with pytest.raises(SystemExit) as left:
            here("models", "test", "openai:x", "--timeout", wrong)
        assert left.value.code == 2
        assert "must be a number of seconds above 0" in capsys.readouterr().err


def test_a_projects_model_is_asked_only_once_it_is_trusted(here, project):
    with CapableChat() as server:
        configured(project, server)
        done = here("models", "test", "mine", FAKE_KEY=KEY)
        assert server.received == []
    assert done.returncode == 4
    assert "not trusted yet: models.mine" in done.stderr


@pytest.mark.parametrize("written", ["${env:FAKE_KEY}", KEY])
def test_a_key_that_a_server_repeats_is_not_shown(written, here, project):
    with CapableChat() as server:
        end = server.default({"messages": [{"role": "user", "content": ""}]}).body[-3:]
        server.plays = [stream(text(f"Your key is {KEY}. "), *end)]
        configured(project, server)
        path = project / "servers.toml"
        path.write_text(path.read_text().replace("${env:FAKE_KEY}", written))
        only = ("--only", "text,one_call,image,schema")
        for form in ((), ("--json",)):
            done = here("models", "test", "mine", "--trust", *only, *form, FAKE_KEY=KEY)
            assert done.returncode == 1
            assert KEY not in done.stdout + done.stderr
            assert "Your key is [secret:" in re.sub(r"\s+", " ", done.stdout)


def test_a_key_in_a_header_is_made_wrong_too(here, project):
    with CapableChat() as server:
        header = '[models.mine.headers]\nAuthorization = "Bearer ${env:FAKE_KEY}"\n'
        configured(project, server, header)
        path = project / "servers.toml"
        path.write_text(path.read_text().replace('api_key = "${env:FAKE_KEY}"\n', ""))
        done = here("models", "test", "mine", "--trust", "--only", "bad_key", FAKE_KEY=KEY)
        sent = server.received[-1].headers["authorization"]
    assert done.returncode == 0, done.stdout
    assert re.search(r"^bad_key +ok ", done.stdout, re.MULTILINE)
    assert "the key accepted" in done.stdout
    assert sent == "Bearer sk-agent-host-wrong-key"


def test_a_limit_of_money_is_kept(here, project):
    limit = "[limits]\nmax_cost = 0.01\n"
    with CapableChat() as server:
        configured(project, server, "price = { input = 2.0, output = 10.0 }\n" + limit)
        done = here("models", "test", "mine", "--trust", FAKE_KEY=KEY)
        assert done.returncode == 3
        assert "this would cost about $0.0226, and limits.max_cost is 0.01" in done.stderr
        assert server.received == []
        done = here("models", "test", "mine", "--trust", "--only", "unknown_model", FAKE_KEY=KEY)
        assert done.returncode == 0, done.stderr
        configured(project, server, limit)
        done = here("models", "test", "mine", "--trust", FAKE_KEY=KEY)
        assert done.returncode == 2
        assert "max_cost cannot be kept" in done.stderr


def test_wide_characters_stay_in_their_columns(here, project):
    with CapableChat() as server:
        end = server.default({"messages": [{"role": "user", "content": ""}]}).body[-3:]
        server.plays = [stream(text("私は見ることができません。" * 9), *end)]
        configured(project, server)
        done = here("models", "test", "mine", "--trust", "--only", "text", FAKE_KEY=KEY)
    wide = [line for line in done.stdout.splitlines() if "私" in line]
    assert wide
    for line in wide:
        assert sum(1 if ch.isascii() else 2 for ch in line) <= 80


# -- while it runs ------------------------------------------------------------------------------


class Hanging(CapableChat):
    """Answers once, and then never to the end."""

    def __init__(self):
        super().__init__()
        first = self.default({"messages": [{"role": "user", "content": "Count from"}]})
        self.plays = [first, stream(text("x"), end="hang")]
        self.hangs = threading.Event()

    def judge(self, path, headers, body):
        if len(self.received) > 1:
            self.hangs.set()
        return super().judge(path, headers, body)


def test_at_a_terminal_one_line_says_what_is_done_and_ctrl_c_leaves_what_was_found(tmp_path):
    with Hanging() as server:
        configured(tmp_path, server)
        arguments = ("models", "test", "mine", "--trust")
        with Terminal(*arguments, cwd=tmp_path, environ={"FAKE_KEY": KEY}) as terminal:
            terminal.wait("4 of 15: usage ...")
            assert "1 of 15" not in terminal.text
            assert server.hangs.wait(20)
            terminal.keys("\x03")
            status = terminal.exit_status()
            shown = terminal.text
    assert status == 130
    assert "4 of 15" not in shown
    assert "Traceback" not in shown
    assert re.search(r"^stream +ok ", shown, re.MULTILINE)
    assert "3 ok, 0 failed" in shown
    assert "agent-host: interrupted; 12 of the checks are not done" in shown


def test_interrupted_json_is_whole_and_says_so(tmp_path):
    with Hanging() as server:
        configured(tmp_path, server)
        process = subprocess.Popen(
            command("models", "test", "mine", "--trust", "--json"),
            cwd=tmp_path,
            env=environment(tmp_path, FAKE_KEY=KEY),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert b"requests" in process.stderr.readline()
        assert server.hangs.wait(20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    card = json.loads(out)
    assert (process.returncode, card["interrupted"], card["exit_status"]) == (130, True, 130)
    assert [check["check"] for check in card["checks"]] == ["reach", "text", "stream"]
    assert b"\r" not in err


def test_the_fake_answers_with_more_than_one_read():
    assert len(LONG) > 3 * 65536
