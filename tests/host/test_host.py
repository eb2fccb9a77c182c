"""A config becomes a session: what is started, who answers, what is recorded, what is left."""

import asyncio
import gc
import os
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from agent_host.config.load import Loaded, load
from agent_host.core.errors import ConfigError, RecordError, UsageError
from agent_host.core.events import (
    Ephemeral,
    ModelChanged,
    ModelRequested,
    Record,
    RunResumed,
    RunStarted,
    ServerConnected,
    UserSaid,
)
from agent_host.core.types import Message, Principal, Text, ToolCall
from agent_host.host import (
    HostSession,
    SessionOptions,
    make_policy,
    open_pool,
    open_session,
    server_specs,
    user_name,
)
from agent_host.ports import Observation
from agent_host.records.reader import read
from agent_host.servers.spec import HttpSpec, ServerHealth, StdioSpec
from agent_host.surfaces.approval import FixedApprover
from tests.fakes.chat_server import HELLO, ChatServer, stream
from tests.journeys.stage import call, stage

DEADLINE = 30
SHOP = ("look", "refund", "wait", "rude", "vanish")


class Seen(list[Any]):
    """A sink that keeps everything."""

    def emit(self, item: Record | Ephemeral) -> None:
        self.append(item)

    def of(self, kind: type) -> list[Any]:
        events = [item.event if isinstance(item, Record) else item for item in self]
        return [event for event in events if isinstance(event, kind)]


def loaded_from(folder: Path, more: str = "") -> Loaded:
    path = folder / "servers.toml"
    path.write_text(path.read_text() + more)
    return load(path, {}, cwd=folder)


def hold(
    loaded: Loaded,
    use: Callable[[HostSession], Awaitable[Any]],
    environ: Mapping[str, str] | None = None,
    **options: Any,
) -> tuple[Any, Seen]:
    """Open a session, use it, close it; return what `use` returned and what a sink saw."""
    seen = Seen()

    async def body() -> Any:
        async with (
            asyncio.timeout(DEADLINE),
            open_session(
                loaded,
                os.environ if environ is None else environ,
                SessionOptions(**options),
                sinks=[seen],
                approver=FixedApprover("all"),
            ) as host,
        ):
            return await use(host)

    return asyncio.run(body()), seen


async def say(host: HostSession, text: str) -> str:
    message = Message(role="user", content=(Text(text=text),))
    host.session.tell(UserSaid(message=message))
    conversation = await host.session.run()
    return "".join(b.text for b in conversation.messages[-1].content if isinstance(b, Text))


async def hello(host: HostSession) -> str:
    return await say(host, "Hello.")


_BEFORE: set[psutil.Process] = set()


@pytest.fixture(autouse=True)
def _before() -> None:
    """What tests of other files still have is not of these."""
    _BEFORE.clear()
    _BEFORE.update(psutil.Process().children(recursive=True))


def begun() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if p not in _BEFORE]


def nothing_runs() -> None:
    left = psutil.wait_procs(begun(), timeout=5)[1]
    for process in left:  # the next test starts clean
        process.kill()
    assert not left


# -- sessions ---------------------------------------------------------------------------------


def test_a_session_starts_its_servers_answers_and_leaves_nothing(tmp_path: Path) -> None:
    stage(tmp_path, {"call": call("look", k=1)}, {"say": "Done."})
    config = tmp_path / "servers.toml"
    config.write_text(f'system = "Be brief."\n{config.read_text()}')
    loaded = loaded_from(tmp_path)

    async def use(host: HostSession) -> tuple[str, Path, list[psutil.Process]]:
        answer = await hello(host)
        assert host.run_id in host.transcript_path.name
        assert host.notices == []
        assert host.choice.name == "actor"
        return answer, host.transcript_path, begun()

    (answer, path, running), seen = hold(loaded, use)
    assert answer == "Done."
    assert running
    assert not psutil.wait_procs(running, timeout=DEADLINE)[1]
    records = read(path)
    assert records == [item for item in seen if isinstance(item, Record)]
    started = records[0].event
    assert isinstance(started, RunStarted)
    assert started.simulated
    assert started.system == "Be brief."
    assert started.config_fingerprint == loaded.fingerprint
    assert started.principal.id == user_name()


def test_what_servers_did_before_there_was_a_session_is_recorded(tmp_path: Path) -> None:
    stage(tmp_path, {"say": "Done."})
    _, seen = hold(loaded_from(tmp_path), hello)
    [connected] = seen.of(ServerConnected)
    assert connected.server == "shop"
    kinds = [type(item.event) for item in seen if isinstance(item, Record)]
    assert kinds[0] is RunStarted


def test_with_known_tools_the_first_request_does_not_wait_for_a_server(tmp_path: Path) -> None:
    stage(tmp_path, {"expect": {"tools": ["shop__look"]}, "call": call("look")}, {"say": "Done."})
    loaded = loaded_from(tmp_path)
    _, cold = hold(loaded, hello)
    kinds = [type(event) for event in cold.of(ServerConnected | ModelRequested)]
    assert kinds[0] is ServerConnected
    assert (tmp_path / "servers.lock").exists()
    answer, warm = hold(loaded, hello)
    assert answer == "Done."
    kinds = [type(event) for event in warm.of(ServerConnected | ModelRequested)]
    assert kinds[0] is ModelRequested


def test_another_model_answers_from_the_change_on(tmp_path: Path) -> None:
    stage(tmp_path, {"say": "I am the script."})
    with ChatServer(HELLO) as model:
        loaded = loaded_from(
            tmp_path,
            f'[models.wire]\nadapter = "openai-chat"\nbase_url = "{model.url}"\nmodel = "fake-1"\n',
        )

        async def use(host: HostSession) -> list[str]:
            assert host.models() == ["actor", "wire", "offline"]
            first = await hello(host)
            choice = await host.change_model("wire")
            assert host.choice is choice
            return [first, await hello(host)]

        answers, seen = hold(loaded, use, only=())
    assert answers == ["I am the script.", "Hello, world"]
    [changed] = seen.of(ModelChanged)
    assert (changed.model, changed.adapter, changed.simulated) == ("fake-1", "openai-chat", False)
    assert changed.by == user_name()


@pytest.mark.parametrize("name", ["nope", "script:no.toml", "openai:gpt"])
def test_a_model_that_cannot_be_used_changes_nothing(tmp_path: Path, name: str) -> None:
    stage(tmp_path, {"say": "Still me."})

    async def use(host: HostSession) -> str:
        before = host.choice
        with pytest.raises(ConfigError):
            await host.change_model(name)
        assert host.choice is before
        return await hello(host)

    answer, seen = hold(loaded_from(tmp_path), use, environ={}, only=())
    assert answer == "Still me."
    assert seen.of(ModelChanged) == []


def test_a_model_is_not_changed_while_it_is_asked(tmp_path: Path) -> None:
    stage(tmp_path, {"say": "unused"})
    with ChatServer(stream(end="hang")) as model:

        async def use(host: HostSession) -> None:
            message = Message(role="user", content=(Text(text="Hi."),))
            host.session.tell(UserSaid(message=message))
            async with asyncio.TaskGroup() as group:
                running = group.create_task(host.session.run())
                while not model.received:
                    await asyncio.sleep(0.01)
                with pytest.raises(UsageError):
                    await host.change_model("offline")
                running.cancel()

        _, seen = hold(loaded_from(tmp_path), use, model=f"{model.url}:fake-1", only=())
    assert seen.of(ModelChanged) == []


def test_a_resumed_run_goes_on_in_its_file_and_records_another_model(tmp_path: Path) -> None:
    stage(tmp_path, {"say": "One."}, {"say": "Two."})
    loaded = loaded_from(tmp_path)

    async def where(host: HostSession) -> Path:
        await hello(host)
        return host.transcript_path

    path, _ = hold(loaded, where, only=())
    again, same = hold(loaded, where, only=(), resume="last")
    assert again == path
    assert len(same.of(RunResumed)) == 1
    assert same.of(ModelChanged) == []
    _, other = hold(loaded, where, only=(), resume=path.stem[:12], model="offline")
    assert [event.adapter for event in other.of(ModelChanged)] == ["offline"]
    records = read(path)
    assert [record.seq for record in records] == list(range(len(records)))
    requests = [r.event.request_id for r in records if isinstance(r.event, ModelRequested)]
    assert len(set(requests)) == len(requests) == 3


def test_a_resumed_run_that_another_model_answers_says_so(tmp_path: Path) -> None:
    stage(tmp_path, {"say": "One."}, {"say": "Two."})
    loaded = loaded_from(tmp_path)

    async def notices(host: HostSession) -> list[str]:
        return host.notices

    hold(loaded, hello, only=())
    assert hold(loaded, notices, only=(), resume="last")[0] == []
    [notice], _ = hold(loaded, notices, only=(), resume="last", model="offline")
    assert notice == (
        "script:actor (script) answered this run before; from here on offline:offline (offline) "
        "does (--model)"
    )


def test_models_that_stand_by_are_those_of_the_model_that_was_chosen(tmp_path: Path) -> None:
    stage(tmp_path, {"say": "One."})
    more = (
        '[models.down]\nadapter = "openai-chat"\nbase_url = "http://127.0.0.1:9"\nmodel = "x"\n'
        'attempts = 1\nfallback = ["offline"]\n'
    )
    loaded = loaded_from(tmp_path, more)

    async def change(host: HostSession) -> tuple[str, str, int]:
        await host.change_model("down")
        attempts = host.session.retry.attempts
        await say(host, "hello")
        return host.choice.name, host.session.conversation.origin.adapter, attempts

    assert hold(loaded, change, only=())[0] == ("offline", "offline", 1)


def test_what_had_to_be_set_aside_of_a_transcript_is_told(tmp_path: Path) -> None:
    stage(tmp_path, {"say": "One."}, {"say": "Two."})
    loaded = loaded_from(tmp_path)

    async def where(host: HostSession) -> Path:
        await hello(host)
        return host.transcript_path

    path, _ = hold(loaded, where, only=())
    with path.open("a") as file:
        file.write('{"seq":')

    async def notices(host: HostSession) -> list[str]:
        return host.notices

    [notice], _ = hold(loaded, notices, only=(), resume="last")
    assert str(path) in notice
    assert path.with_suffix(".corrupt").read_text() == '{"seq":'


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"model": "nope"}, ConfigError),
        ({"model": "script:no.toml"}, ConfigError),
        ({"resume": "01NONE"}, RecordError),
    ],
)
def test_a_session_that_cannot_be_opened_leaves_neither_process_nor_file(
    tmp_path: Path, options: dict[str, str], error: type[Exception]
) -> None:
    stage(tmp_path, {"say": "unused"})
    loaded = loaded_from(tmp_path)
    with pytest.raises(error):
        hold(loaded, hello, **options)
    nothing_runs()
    assert not (tmp_path / "transcripts").exists()
    assert gc.isenabled()


def test_the_key_of_a_model_that_came_later_is_kept_out_of_the_transcript(tmp_path: Path) -> None:
    stage(tmp_path, {"say": "unused"})
    with ChatServer(HELLO) as model:
        loaded = loaded_from(
            tmp_path,
            f'[models.wire]\nadapter = "openai-chat"\nbase_url = "{model.url}"\n'
            'model = "fake-1"\napi_key = "${env:LATE_KEY}"\n',
        )

        async def use(host: HostSession) -> Path:
            await host.change_model("wire")
            await say(host, "My key is key-5582913c.")
            return host.transcript_path

        environ = {**os.environ, "LATE_KEY": "key-5582913c"}
        path, _ = hold(loaded, use, environ=environ, only=())
    assert model.received[0].headers["authorization"] == "Bearer key-5582913c"
    assert "key-5582913c" not in path.read_text()
    assert "My key is [secret:LATE_KEY]." in path.read_text()


# -- pools ------------------------------------------------------------------------------------


def test_a_pool_without_a_session_has_its_servers_and_ends_them(tmp_path: Path) -> None:
    stage(tmp_path, {"say": "unused"})
    loaded = loaded_from(
        tmp_path,
        '[servers.off]\ncommand = "no-such-program"\nenabled = false\n',
    )
    observed: list[Observation] = []

    async def body() -> tuple[str, ...]:
        async with (
            asyncio.timeout(DEADLINE),
            open_pool(loaded, os.environ, observe=observed.append) as pool,
        ):
            await pool.settled()
            assert [(h.name, h.state) for h in pool.health()] == [("shop", "connected")]
            assert psutil.pid_exists(pool.health()[0].pid or 0)
            return tuple(pool.tools())

    assert set(asyncio.run(body())) == {f"shop__{name}" for name in SHOP}
    assert any(isinstance(item, ServerConnected) for item in observed)
    nothing_runs()


def test_a_pool_of_named_servers_needs_no_observer(tmp_path: Path) -> None:
    stage(tmp_path, {"say": "unused"})
    loaded = loaded_from(tmp_path, '[servers.off]\ncommand = "no-such-program"\nenabled = false\n')

    async def body() -> list[str]:
        async with asyncio.timeout(DEADLINE), open_pool(loaded, {}, only=("off",)) as pool:
            await pool.settled()
            return [f"{health.name} {health.state}" for health in pool.health()]

    assert asyncio.run(body()) == ["off failed"]


def test_a_server_whose_reference_has_no_value_is_failed_and_says_where(tmp_path: Path) -> None:
    stage(tmp_path, {"say": "unused"})
    line = len((tmp_path / "servers.toml").read_text().splitlines()) + 3
    loaded = loaded_from(
        tmp_path,
        '[servers.b]\ncommand = "x"\nenv = { K = "${env:NO_KEY}" }\n'
        "[servers.u]\nurl = \"https://x.example/mcp\"\nheaders = { K = '${file:gone}' }\n",
    )

    async def body() -> dict[str, ServerHealth]:
        async with asyncio.timeout(DEADLINE), open_pool(loaded, {}) as pool:
            await pool.settled()
            return {health.name: health for health in pool.health()}

    health = asyncio.run(body())
    assert {name: h.state for name, h in health.items()} == {
        "b": "failed",
        "u": "failed",
        "shop": "connected",
    }
    assert re.search(rf"servers.toml:{line}: servers.b.env.K .*NO_KEY.*set it", health["b"].error)
    assert "needs the file gone" in health["u"].error
    assert health["u"].restarts == 0
    nothing_runs()


# -- what a config stands for -----------------------------------------------------------------


class _Plain:
    """Stands for resolved secrets: each text is what it is."""

    environ: Mapping[str, str] = {}

    def resolve(self, text: str, base: Path, key: str) -> str:
        return f"{base.name}|{key.rpartition(': ')[2]}|{text}"

    def user_token(self, who: Principal) -> str:
        return f"token of {who.id}"

    def keep(self, text: str) -> None:
        raise AssertionError("no token is got here")


def test_a_servers_table_becomes_its_spec(tmp_path: Path) -> None:
    (tmp_path / "servers.toml").write_text(
        '[servers.near]\ncommand = "tool"\nargs = ["-v"]\ncwd = "sub"\nenv = { A = "b" }\n'
        "timeout = 7\nconnect_timeout = 3\nparallel = false\n"
        'tools = { include = ["a*"], exclude = ["ab"] }\n'
        '[servers.far]\nurl = "http://127.0.0.1:1/mcp"\nheaders = { H = "v" }\n'
        'trust_annotations = true\nproxy = "http://me:${env:P}@p.example:3128"\n'
        '[servers.demo]\ncommand = "agent-host"\nargs = ["demo-server"]\n'
    )
    near, far, demo = server_specs(loaded_from(tmp_path), _Plain(), None)  # type: ignore[arg-type]
    assert isinstance(near, StdioSpec)
    assert (near.command, near.args, near.cwd) == ("tool", ("-v",), str(tmp_path / "sub"))
    assert near.env == {"A": f"{tmp_path.name}|servers.near.env.A|b"}
    assert (near.call_timeout, near.connect_timeout, near.parallel) == (7, 3, False)
    assert (near.include, near.exclude, near.trust_annotations) == (("a*",), ("ab",), False)
    assert isinstance(far, HttpSpec)
    assert far.url.endswith("servers.far.url|http://127.0.0.1:1/mcp")
    assert far.headers["H"].endswith("servers.far.headers.H|v")
    assert far.proxy is not None
    assert far.proxy.endswith("servers.far.proxy|http://me:${env:P}@p.example:3128")
    assert far.trust_annotations
    assert isinstance(demo, StdioSpec)
    assert demo.command == sys.executable
    assert demo.args[-1] == "demo-server"


def test_the_policy_is_the_configs(tmp_path: Path) -> None:
    stage(tmp_path, {"call": [call("look"), call("refund", order="1")]}, {"say": "Done."})
    loaded = loaded_from(
        tmp_path,
        '[[policy.rules]]\nid = "no"\nserver = "sh*"\ntools = ["re*"]\neffect = "deny"\n'
        'reason = "not today"\n',
    )

    async def judged(host: HostSession) -> list[tuple[str, str, str]]:
        await host.session.rooms.tools.ready()
        policy, out = make_policy(loaded, os.environ), []
        for name in ("look", "refund"):
            tool = host.pool.tools()[f"shop__{name}"]
            made = ToolCall(id="1", name=tool.name, arguments={})
            answer = policy.decide(
                made, {}, tool, host.session.conversation, host.session.principal
            )
            out.append((answer.decision, answer.rule, answer.reason))
        return out

    (look, refund), _ = hold(loaded, judged)
    assert look[:2] == ("allow", "free")
    assert refund == ("deny", "no", "not today")


def test_limits_of_the_config_are_the_sessions(tmp_path: Path) -> None:
    stage(tmp_path, {"say": "unused"})
    loaded = loaded_from(
        tmp_path, "[limits]\nmax_turns = 3\nmax_tool_calls = 4\nmax_tokens = 5\nmax_seconds = 6.5\n"
    )

    async def limits(host: HostSession) -> Any:
        found = host.session.limits
        return found.max_turns, found.max_tool_calls, found.max_tokens, found.max_seconds

    assert hold(loaded, limits, only=())[0] == (3, 4, 5, 6.5)


def test_a_user_without_a_name_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 987_654_321)
    assert user_name() == "uid-987654321"


def test_no_variable_says_who_the_user_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = user_name()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "the-boss")
    assert user_name() == before
