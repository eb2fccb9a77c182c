"""Where the values of references get to, and where they never do."""

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import chat_server as wire
from tests.fakes.chat_server import ChatServer
from tests.fakes.programs import ROOT, Ended, agent_host

TOKEN = "tok-5f2a77c0e1"
KEY = "key-91bd04aa3e"
FILED = "filed-c4418e02d7"
SECRETS = (TOKEN, KEY, FILED)

TELLER = ROOT / "tests" / "fakes" / "telling_server.py"
CONFIG = """
model = "fake"

[models.fake]
adapter = "openai-chat"
base_url = "{url}"
model = "fake-1"
api_key = "${{env:FAKE_KEY}}"
headers = {{ X-Account = "acct ${{file:account.txt}}" }}

[servers.teller]
command = {python}
args = [{server}]
env = {{ TOKEN = "Bearer ${{env:SHOP_TOKEN}}", FILED = "${{file:account.txt}}", PLAIN = "$${{x}}" }}

[policy]
default = "allow"
"""

TELL = wire.stream(
    wire.call(wire.piece(0, "call_a", "teller__tell", "{}")), wire.finish("tool_calls"), wire.DONE
)


def run(folder: Path, url: str, *arguments: str) -> Ended:
    config = CONFIG.format(
        url=url, python=json.dumps(sys.executable), server=json.dumps(str(TELLER))
    )
    (folder / "servers.toml").write_text(config)
    (folder / "account.txt").write_text(f"{FILED}\n")
    more = {"SHOP_TOKEN": TOKEN, "FAKE_KEY": KEY, "UNRELATED": "unrelated"}
    return agent_host("run", "--trust", *arguments, "Tell me.", folder=folder, **more)


def transcript(folder: Path) -> str:
    [path] = (folder / "transcripts").glob("*.jsonl")
    return path.read_text()


def test_secrets_reach_the_server_and_the_model_and_not_the_transcript(tmp_path: Path) -> None:
    with ChatServer(TELL, wire.HELLO) as model:
        ended = run(tmp_path, model.url)
    assert (ended.status, ended.out) == (0, "Hello, world\n")
    asked, told = model.received
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["x-account"] == f"acct {FILED}"
    said: dict[str, Any] = json.loads(told.body["messages"][-1]["content"])
    environment = said["environment"]
    assert environment["TOKEN"] == f"Bearer {TOKEN}"
    assert environment["FILED"] == FILED
    assert environment["PLAIN"] == "${x}"
    kept = transcript(tmp_path)
    for secret in SECRETS:
        assert secret not in kept
    assert "[secret:SHOP_TOKEN]" in kept


def test_a_server_gets_what_its_config_names_and_no_key_of_the_user(tmp_path: Path) -> None:
    with ChatServer(TELL, wire.HELLO) as model:
        run(tmp_path, model.url)
    said = json.loads(model.received[1].body["messages"][-1]["content"])
    assert {"FAKE_KEY", "SHOP_TOKEN", "UNRELATED"}.isdisjoint(said["environment"])
    assert KEY not in json.dumps(said)


@pytest.mark.parametrize("output", ["text", "json", "stream-json"])
def test_a_secret_that_a_server_or_a_model_repeats_is_not_shown(
    tmp_path: Path, output: str
) -> None:
    echo = wire.stream(
        wire.chunk({"content": f"It is {KEY[:6]}"}),
        wire.chunk({"content": f"{KEY[6:]}, and {TOKEN}."}),
        wire.finish("stop"),
        wire.DONE,
    )
    with ChatServer(TELL, echo) as model:
        ended = run(tmp_path, model.url, "--output", output)
    assert ended.status == 0
    for secret in SECRETS:
        assert secret not in ended.out + ended.err
    assert "It is [secret:FAKE_KEY], and [secret:SHOP_TOKEN]." in ended.out
    if output == "stream-json":
        lines = [line for line in ended.out.splitlines() if '"ephemeral"' not in line[:14]]
        assert "".join(f"{line}\n" for line in lines) == transcript(tmp_path)


@pytest.mark.parametrize("output", ["text", "json", "stream-json"])
def test_no_output_of_a_run_holds_a_secret(tmp_path: Path, output: str) -> None:
    with ChatServer(wire.HELLO) as model:
        ended = run(tmp_path, model.url, "--output", output)
    assert ended.status == 0
    for secret in SECRETS:
        assert secret not in ended.out + ended.err


def test_a_secret_that_a_server_repeats_is_not_shown_by_a_call_by_hand(tmp_path: Path) -> None:
    (tmp_path / "servers.toml").write_text(
        f"[servers.teller]\ncommand = {json.dumps(sys.executable)}\n"
        f'args = [{json.dumps(str(TELLER))}]\nenv = {{ TOKEN = "Bearer ${{env:SHOP_TOKEN}}" }}\n'
    )
    for more in ((), ("--json",)):
        ended = agent_host(
            *("tools", "call", "--trust", "teller__tell", *more), folder=tmp_path, SHOP_TOKEN=TOKEN
        )
        assert ended.status == 0
        assert "Bearer [secret:SHOP_TOKEN]" in ended.out
        assert TOKEN not in ended.out + ended.err


def test_a_secret_in_the_last_words_of_a_server_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "servers.toml").write_text(
        '[servers.bad]\ncommand = "sh"\nargs = ["-c", "echo token $TOKEN is bad >&2; exit 3"]\n'
        'env = { TOKEN = "${env:SHOP_TOKEN}" }\n'
    )
    for command in (("servers", "list"), ("servers", "test", "bad"), ("tools", "list")):
        ended = agent_host(*command, "--trust", folder=tmp_path, SHOP_TOKEN=TOKEN)
        assert ended.status == 5
        assert TOKEN not in ended.out + ended.err


def test_what_cannot_be_reached_is_told_without_its_secrets(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    (tmp_path / "script.toml").write_text('[[turn]]\nsay = "Hello."\n')
    (tmp_path / "servers.toml").write_text(
        'model = "actor"\n[models.actor]\nadapter = "script"\npath = "script.toml"\n'
        f'[servers.far]\nurl = "{url}/${{env:SHOP_TOKEN}}/mcp"\n'
        'headers = { Authorization = "Bearer ${env:FAKE_KEY}" }\n'
        '[servers.near]\ncommand = "./no-such"\nenv = { TOKEN = "${env:SHOP_TOKEN}" }\n'
    )
    ended = agent_host(
        *("run", "--trust", "--output", "stream-json", "Hi."),
        folder=tmp_path,
        SHOP_TOKEN=TOKEN,
        FAKE_KEY=KEY,
    )
    assert {event["server"] for event in ended.of("server_lost")} == {"far", "near"}
    for text in (ended.out, ended.err, transcript(tmp_path)):
        assert TOKEN not in text
        assert KEY not in text


def test_a_model_that_refuses_its_key_is_told_without_it(tmp_path: Path) -> None:
    echo = {"error": {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}}
    with ChatServer(wire.refusal(401, echo)) as model:
        ended = run(tmp_path, model.url)
    assert ended.status == 6
    assert KEY not in transcript(tmp_path)
    assert KEY not in ended.err
