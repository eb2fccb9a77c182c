"""Whatever a provider does, `run` says what failed and what to do, and the conversation goes on.

Each case is played on each wire: the command ends with the right status and one clear line, and
`run --resume` with a provider that works gets an answer.
"""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.certificates import self_signed
from tests.fakes.provider_server import Play, ProviderServer, event, refusal, stream
from tests.fakes.wires import MESSAGES, WIRES, Wire

HOUR = {"retry_after": "3600"}
HTML = Play(
    body=[b"<!doctype html><html><head><title>Welcome</title></head></html>"],
    headers={"content-type": "text/html"},
    framing="length",
)


def body(value: Any) -> Play:
    """A success that is one JSON value."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Play(body=[data], headers={"content-type": "application/json"}, framing="length")


@dataclass(frozen=True)
class Case:
    """`play` makes what the provider does; `said` must stand in one line of stderr."""

    play: Callable[[Wire], Play]
    status: int
    said: str
    keys: dict[str, Any] = field(default_factory=dict)


def status(code: int, message: str = "no", **headers: str) -> Callable[[Wire], Play]:
    return lambda wire: refusal(code, wire.error(message), **headers)


def cut(wire: Wire, **options: Any) -> Play:
    """An answer of which the end is missing."""
    whole = wire.says(["Hel", "lo"], [], "end").body
    return Play(body=whole[: len(whole) // 2], **options)


CASES = {
    "400": Case(status(400, "bad field"), 1, "refused the request (HTTP 400): bad field"),
    "401": Case(status(401), 6, "refused the key (HTTP 401)"),
    "403": Case(status(403), 6, "check the API key and what it may use"),
    "404": Case(status(404), 6, "does not know the model 'fake-1'"),
    "408": Case(status(408), 6, "timed out (HTTP 408)"),
    "413": Case(status(413, "too much"), 6, "(HTTP 413)"),
    "429": Case(status(429), 6, "limits the rate of requests (HTTP 429)"),
    "500": Case(status(500), 6, "failed (HTTP 500)"),
    "a picture that is never taken": Case(
        status(500, "image input is not supported"),
        1,
        "refused the request (HTTP 500)",
        keys={"attempts": 4},
    ),
    "529": Case(status(529), 6, "is overloaded (HTTP 529)"),
    "a wait of an hour": Case(
        status(429, "later", **HOUR), 6, "limits the rate", keys={"attempts": 4}
    ),
    "a page with status 200": Case(lambda _: HTML, 6, "a web page (Welcome); check `base_url`"),
    "an error with status 200": Case(lambda w: body(w.error("it broke")), 6, "it broke"),
    "an error in the stream": Case(lambda w: stream(event(w.error("it broke"))), 6, "it broke"),
    "an empty object": Case(lambda _: body({}), 6, "something else than the API"),
    "empty choices": Case(lambda _: body({"choices": []}), 6, "something else than the API"),
    "no body": Case(lambda _: body(b""), 6, "ended the stream without an answer"),
    "an early end": Case(cut, 6, "in the middle of the answer"),
    "a lost connection": Case(lambda w: cut(w, end="cut"), 6, "in the middle of the answer"),
    "a connection that is dropped": Case(lambda _: Play(end="drop"), 6, "cannot connect"),
    "a silent server": Case(
        lambda w: cut(w, end="hang"), 6, "did not answer within 0.2 s", keys={"timeout": 0.2}
    ),
    "bytes that are no text": Case(
        lambda _: stream(b'data: {"a": "\xff\xfe"\n\n'), 6, "an event that is no JSON"
    ),
    "a context that is full": Case(
        status(400, "prompt is too long: 300000 tokens > 200000 maximum"),
        6,
        "does not fit the model",
    ),
    "a refusal": Case(lambda w: w.says(["I cannot."], [], "refusal"), 4, "declined to answer"),
    "half an answer": Case(lambda w: w.says(["Hel"], [], "length"), 3, "out of output tokens"),
    "nothing": Case(lambda w: w.empty, 1, "answered nothing"),
}


@pytest.fixture(params=WIRES, ids=lambda wire: wire.adapter)
def wire(request: pytest.FixtureRequest) -> Wire:
    return request.param


@contextmanager
def playing(wire: Wire, *plays: Play) -> Iterator[ProviderServer]:
    with wire.server(*plays) as server:
        yield server


def write(project: Path, wire: Wire, url: str, **keys: Any) -> None:
    (project / "servers.toml").write_text(
        'model = "m"\n' + wire.config(url, **{"attempts": 1, **keys})
    )


def line_with(said: str, text: str) -> str:
    found = [line for line in text.splitlines() if said in line]
    assert found, text
    return found[0]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_went_wrong_is_one_clear_line_and_the_conversation_goes_on(
    here, project: Path, wire: Wire, case: Case
) -> None:
    with playing(wire, case.play(wire)) as server:
        write(project, wire, server.url, **case.keys)
        done = here("run", "--trust", "hello")
        assert done.returncode == case.status, done.stderr
        line = line_with(case.said, done.stderr)
        assert "127.0.0.1" in line or case.status in (1, 3, 4)
        assert "Traceback" not in done.stderr
        assert "k-123456" not in done.stdout + done.stderr
        server.plays = [wire.says(["Well"], [], "end")]
        again = here("run", "--trust", "--resume", "last", "once more")
    assert (again.stdout, again.returncode) == ("Well\n", 0)
    assert server.refused == []


def test_a_wait_beyond_the_deadline_is_not_waited_for(here, project: Path, wire: Wire) -> None:
    with playing(wire, status(429, "later", **HOUR)(wire)) as server:
        write(project, wire, server.url, attempts=4)
        here("run", "--trust", "hello")
        assert len(server.received) == 1


def test_a_busy_provider_is_asked_again_within_its_deadline(
    here, project: Path, wire: Wire
) -> None:
    busy = status(529, retry_after_ms="1")(wire)
    with playing(wire, busy, wire.says(["Hi"], [], "end")) as server:
        write(project, wire, server.url, attempts=2)
        done = here("run", "--trust", "hello")
    assert (done.stdout, done.returncode) == ("Hi\n", 0)
    assert "is overloaded" in done.stderr
    assert "asked again" in done.stderr


def test_nobody_at_the_address_is_said(here, project: Path, wire: Wire) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        write(project, wire, f"http://127.0.0.1:{unused.getsockname()[1]}")
        done = here("run", "--trust", "hello")
    assert done.returncode == 6
    line_with("nothing accepts connections there; is it running?", done.stderr)


def test_a_server_without_tls_where_tls_is_asked_for_is_said(
    here, project: Path, wire: Wire
) -> None:
    with playing(wire) as server:
        write(project, wire, server.url.replace("http:", "https:"))
        done = here("run", "--trust", "hello")
    assert done.returncode == 6
    line_with("cannot connect to", done.stderr)


def test_a_certificate_that_nobody_trusts_is_said_with_what_to_do(
    here, project: Path, wire: Wire, tmp_path: Path
) -> None:
    context, certificate = self_signed(tmp_path)
    server = wire.server(wire.says(["Safe."], [], "end"))
    server.tls = context
    with server:
        write(project, wire, server.url)
        done = here("run", "--trust", "hello")
        assert done.returncode == 6
        line = line_with("CERTIFICATE_VERIFY_FAILED", done.stderr)
        assert "name it in SSL_CERT_FILE" in line
        assert server.received == []
        done = here("run", "--trust", "hello", SSL_CERT_FILE=str(certificate))
    assert (done.stdout, done.returncode) == ("Safe.\n", 0)


def test_a_proxy_that_is_not_there_is_named(here, project: Path, wire: Wire) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy = f"http://user:hunter2@127.0.0.1:{unused.getsockname()[1]}"
        write(project, wire, "http://models.example.test")
        done = here("run", "--trust", "hello", HTTP_PROXY=proxy, http_proxy=proxy)
    assert done.returncode == 6
    line = line_with("cannot connect to", done.stderr)
    assert "proxy" in line
    assert "hunter2" not in done.stderr


def test_a_tool_that_does_not_exist_is_told_to_the_model(here, project: Path, wire: Wire) -> None:
    plays = [wire.says([], [("c1", "shop__nothing", "{}")], "end"), wire.says(["Oh."], [], "end")]
    with playing(wire, *plays) as server:
        write(project, wire, server.url)
        done = here("run", "--trust", "hello")
        told = json.dumps(server.received[1].body)
    assert (done.stdout, done.returncode) == ("Oh.\n", 0)
    assert "there is no tool shop__nothing" in told


def test_a_call_that_was_cut_off_is_not_executed(here, project: Path, wire: Wire) -> None:
    plays = [
        wire.says([], [("c1", "shop__pay", '{"amount": 25')], "length"),
        wire.says(["Sorry."], [], "end"),
    ]
    with playing(wire, *plays) as server:
        write(project, wire, server.url)
        done = here("run", "--trust", "hello")
        told = json.dumps(server.received[1].body)
    assert done.returncode == 0
    assert "cut off" in told
    assert server.refused == []


def test_no_key_is_said_before_anything_is_sent(here, project: Path) -> None:
    (project / "servers.toml").write_text("")
    for name in ("openai", "anthropic", "gemini", "mistral"):
        done = here("run", "--trust", "--model", name, "hello")
        assert done.returncode == 2
        assert f"{name.upper()}_API_KEY" in done.stderr


# -- how much it thinks ----------------------------------------------------------------------


def test_the_effort_of_a_run_goes_before_that_of_its_table(here, project: Path) -> None:
    with playing(MESSAGES, MESSAGES.says(["Hi"], [], "end")) as server:
        write(project, MESSAGES, server.url, provider="anthropic", effort="low")
        here("run", "--trust", "hello")
        here("run", "--trust", "--effort", "high", "hello")
        efforts = [one.body["output_config"]["effort"] for one in server.received]
        assert efforts == ["low", "high"]
        done = here("run", "--trust", "--effort", "much", "hello")
        assert done.returncode == 2
        line_with('--effort must be "low", "medium"', done.stderr)
        assert len(server.received) == 2
    done = here("run", "--trust", "--model", "offline", "--effort", "high", "hello")
    assert done.returncode == 2
    line_with("--effort means nothing to offline", done.stderr)


# -- another model -------------------------------------------------------------------------------


@pytest.mark.parametrize("other", WIRES, ids=lambda wire: f"to {wire.adapter}")
def test_a_model_that_fails_gives_way_to_its_fallback_on_any_wire(
    here, project: Path, wire: Wire, other: Wire
) -> None:
    with (
        playing(wire, status(401)(wire)) as server,
        playing(other, other.says(["From the other."], [], "end")) as second,
    ):
        fallback = ["openai", "n"]
        text = wire.config(server.url, attempts=1, fallback=fallback) + other.config(second.url)
        first, _, rest = text.rpartition("[models.m]")
        (project / "servers.toml").write_text(f'model = "m"\n{first}[models.n]{rest}')
        done = here("run", "--trust", "--output", "json", "hello")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["answer"] == "From the other."
    assert "answers from here on" in done.stderr
    line_with("OPENAI_API_KEY", done.stderr)
    [path] = (project / "transcripts").glob("*.jsonl")
    events = [json.loads(line)["event"] for line in path.read_text().splitlines()]
    [changed] = [e for e in events if e["type"] == "model_changed"]
    assert changed["adapter"] == other.adapter
    assert changed["by"] == "fallback"
    assert "refused the key" in changed["reason"]


def two(project: Path, first: str, second: str) -> None:
    """A config with the models `m` and `n`."""
    second = second.replace("[models.m]", "[models.n]")
    (project / "servers.toml").write_text(f'model = "m"\n{first}{second}')


@pytest.mark.parametrize("other", WIRES, ids=lambda wire: f"to {wire.adapter}")
def test_a_run_is_gone_on_with_by_another_model_on_any_wire(
    here, project: Path, wire: Wire, other: Wire
) -> None:
    calls = [("c1", "shop__a", '{"k": 1}'), ("c2", "shop__b", "{}")]
    plays = [wire.says(["I look."], calls, "end"), wire.says(["Done."], [], "end")]
    with playing(wire, *plays) as server, playing(other, other.says(["Mine."], [], "end")) as then:
        two(project, wire.config(server.url), other.config(then.url))
        assert here("run", "--trust", "hello").stdout == "Done.\n"
        done = here("run", "--trust", "--resume", "last", "--model", "n", "and you?")
        sent = json.dumps(then.received[0].body)
        assert (server.refused, then.refused) == ([], [])
    assert (done.stdout, done.returncode) == ("Mine.\n", 0)
    assert "from here on" in done.stderr
    for text in ("hello", "I look.", "shop__a", "there is no tool shop__b", "Done.", "and you?"):
        assert text in sent
    [path] = (project / "transcripts").glob("*.jsonl")
    events = [json.loads(line)["event"] for line in path.read_text().splitlines()]
    [changed] = [e for e in events if e["type"] == "model_changed"]
    assert changed["adapter"] == other.adapter


# -- money -----------------------------------------------------------------------------------------


def test_a_limit_of_money_needs_a_known_price(here, project: Path, wire: Wire) -> None:
    with playing(wire, wire.says(["Hi"], [], "end")) as server:
        write(project, wire, server.url)
        done = here("run", "--trust", "--max-cost", "1", "hello")
        assert done.returncode == 2
        assert "max_cost cannot be kept: the price of 127.0.0.1" in done.stderr
        assert server.received == []


def test_what_a_run_costs_is_counted_and_limited(here, project: Path, wire: Wire) -> None:
    with playing(wire, wire.says(["Hi"], [], "end")) as server:
        write(project, wire, server.url)
        with (project / "servers.toml").open("a") as file:
            file.write("price = { input = 1000.0, output = 1000.0 }\n")
        done = here("run", "--trust", "--max-cost", "5", "--output", "json", "hello")
        cost = json.loads(done.stdout)["cost"]
        assert cost == pytest.approx((12 + 3) / 1000)
        assert "$0.0150" in done.stderr
        done = here("run", "--trust", "--max-cost", "0.1", "hello")
        assert done.returncode == 3
        assert "limit reached: $0.1, with the next request's estimate" in done.stderr
        assert len(server.received) == 1
