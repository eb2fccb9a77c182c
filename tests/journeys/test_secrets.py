"""Canary secrets in every channel: what the real program writes and shows, and what it does not."""

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_host.records.forms import forms
from agent_host.records.marks import Marks
from tests.fakes.canary_server import FOUND, PASSWORD
from tests.fakes.programs import ROOT, Ended, agent_host, environment
from tests.journeys.stage import _toml

CANARY = "cAn4ry+s3cr3t/=&<v4lue>\"é'"
SERVER = ROOT / "tests" / "fakes" / "canary_server.py"


class Place:
    """A home with a config; the model's script and what the server took lie outside of it."""

    def __init__(self, folder: Path) -> None:
        self.home, self.outside = folder / "home", folder / "outside"
        self.home.mkdir()
        self.outside.mkdir()
        self.shown: list[str] = []

    def stage(self, *turns: dict[str, Any], more: str = "", model: str = "actor") -> None:
        config = f"""
model = "{model}"
[models.actor]
adapter = "script"
path = {json.dumps(str(self.outside / "script.toml"))}
[servers.canary]
command = {json.dumps(sys.executable)}
args = [{json.dumps(str(SERVER))}]
env = {{ TOKEN = "${{env:CANARY}}", TAKEN = {json.dumps(str(self.outside / "taken"))} }}
[policy]
default = "allow"
{more}
"""
        (self.home / "servers.toml").write_text(config)
        tables = ["".join(f"{k} = {_toml(v)}\n" for k, v in turn.items()) for turn in turns]
        (self.outside / "script.toml").write_text("".join(f"[[turn]]\n{t}\n" for t in tables))

    def run(self, *arguments: str, umask: int = 0o022, **more: str) -> Ended:
        variables = {"CANARY": CANARY, "TMPDIR": str(self.home / "tmp"), **more}
        (self.home / "tmp").mkdir(exist_ok=True)
        before = ["sh", "-c", f'umask {umask:03o}; exec "$@"', "sh"]
        ended = agent_host(*arguments, folder=self.home, before=before, **variables)
        self.shown += ended.out, ended.err
        return ended

    @property
    def taken(self) -> list[Any]:
        lines = (self.outside / "taken").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def files(self) -> list[Path]:
        return [path for path in self.home.rglob("*") if path.is_file()]

    def everything(self) -> str:
        """All that was written and shown."""
        written = [path.read_bytes().decode("utf-8", "replace") for path in self.files()]
        return "\n".join([*written, *self.shown])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def called(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"name": f"canary__{tool}", "arguments": arguments}


def holds_none(text: str, *secrets: str) -> None:
    for secret in secrets:
        for form in forms(secret):
            assert form not in text, f"{secret!r} as {form!r}"


TURNS: list[dict[str, Any]] = [
    {"say": "I look.", "call": [called(n) for n in ("leak", "keys", "fail", "talk")]},
    {"say": "And the long one.", "call": [called("keys", big=True)]},
    {"say": "Now it ends.", "call": [called("die")]},
    {"say": f"It is {CANARY}, `{FOUND}`, and password: {PASSWORD}."},
]


@pytest.mark.parametrize("output", ["text", "json", "stream-json"])
def test_no_secret_is_written_or_shown_in_any_form(place: Place, output: str) -> None:
    # threat 55
    place.stage(*TURNS)
    ended = place.run("run", "--trust", "--output", output, f"my token is {CANARY} or {FOUND}")
    assert ended.status == 0, ended.err
    text = place.everything()
    holds_none(text, CANARY, FOUND, PASSWORD)
    assert "[secret:CANARY]" in ended.out
    assert "[secret:github-token:" in ended.out
    records = "".join(p.read_text() for p in place.home.rglob("transcripts/*.jsonl"))
    assert "[secret:CANARY]" in records
    assert list(place.home.rglob("*.artifacts/*.txt"))
    place.run("transcripts", "show", "last")
    place.run("transcripts", "search", "token")
    place.run("audit", "show")
    place.run("doctor")
    holds_none(place.everything(), CANARY, FOUND, PASSWORD)


def test_commands_that_only_look_at_a_server_show_no_configured_secret(place: Place) -> None:
    # threat 55
    place.stage({"say": "x"})
    place.run("trust")
    for arguments in (
        ("servers", "test", "canary"),
        ("servers", "list"),
        ("servers", "show", "canary"),
        ("tools", "list"),
        ("tools", "call", "canary__leak"),
        ("tools", "call", "canary__fail"),
        ("tools", "call", "canary__talk"),
        ("tools", "call", "canary__die"),
        ("config", "show"),
        ("doctor",),
    ):
        place.run(*arguments)
    shown = "\n".join(place.shown)
    assert "[secret:CANARY]" in shown
    holds_none(place.everything(), CANARY)


def test_what_is_found_by_its_form_is_not_written_or_shown_by_a_call_by_hand(place: Place) -> None:
    place.stage()
    take = place.run("tools", "call", "canary__take", f"value=token {FOUND}", "--trust")
    keys = place.run("tools", "call", "canary__keys", "--trust")
    assert (take.status, keys.status) == (0, 0), (take, keys)
    assert FOUND in json.dumps(place.taken)  # the server gets what was typed
    assert any("by_hand" in path.read_text() for path in place.files() if "audit" in path.name)
    holds_none(place.everything(), FOUND, PASSWORD)


def test_the_same_secret_has_the_same_mark_in_every_run(place: Place) -> None:
    place.stage(TURNS[0], {"say": f"It is {FOUND}."})
    marks = set()
    for _ in range(2):
        out = place.run("run", "--trust", "go").out
        marks.add(out[out.index("[secret:github-token:") :].split("]")[0])
    assert len(marks) == 1
    [key] = place.home.rglob("secrets.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.unlink()
    out = place.run("run", "--trust", "go").out
    assert out[out.index("[secret:github-token:") :].split("]")[0] not in marks


def test_nothing_is_looked_for_where_that_is_switched_off(place: Place) -> None:
    place.stage(TURNS[0], {"say": f"It is {CANARY} {FOUND}."}, more="[secrets]\ndetect = false")
    ended = place.run("run", "--trust", "go")
    assert FOUND in ended.out
    holds_none(place.everything(), CANARY)
    assert not list(place.home.rglob("secrets.key"))


def test_the_configs_own_expressions_are_looked_for(place: Place) -> None:
    more = "[secrets.patterns]\nkind = 'ACME-[0-9]{4} [0-9]{4}'"
    place.stage({"say": "Use ACME-1234 5678 there."}, more=more)
    ended = place.run("run", "--trust", "go")
    assert "ACME-1234" not in place.everything()
    assert "[secret:kind:" in ended.out
    place.stage({"say": "x"}, more="[secrets.patterns]\nkind = '(a)\\1'")
    ended = place.run("run", "--trust", "go")
    assert ended.status == 2
    assert "servers.toml:13: secrets.patterns.kind is no regular expression" in ended.err


HIDE = '[secrets]\nhide_from_model = true\nreveal = ["canary/take"]'


def test_the_model_gets_marks_and_only_named_tools_get_secrets_back(place: Place) -> None:
    place.stage({"say": "x", "call": [called("keys")]}, {"say": "ok"}, more=HIDE)
    place.run("run", "--trust", "go")
    [key] = place.home.rglob("secrets.key")
    marks = Marks(key.read_bytes)
    token, password = marks.mark("github-token", FOUND), marks.mark("password", PASSWORD)
    invented = "[secret:github-token:000000]"
    place.stage(
        {"call": [called("keys")]},
        {
            "expect": token,
            "call": [called("take", value=token, more={"a": [f"Bearer {password}!"]})],
        },
        {"expect": "took {", "call": [called("take", value=invented)]},
        {"expect": "is a placeholder, and this run does not have the secret", "say": "Done."},
        more=HIDE,
    )
    ended = place.run("run", "--trust", "go")
    assert ended.status == 0, ended.err
    assert place.taken == [{"value": FOUND, "more": {"a": [f"Bearer {PASSWORD}!"]}}]
    holds_none(place.everything(), CANARY, FOUND, PASSWORD)


def test_a_tool_that_is_not_named_gets_the_mark(place: Place) -> None:
    hide = "[secrets]\nhide_from_model = true"
    place.stage({"call": [called("keys")]}, {"say": "ok"}, more=hide)
    place.run("run", "--trust", "go")
    [key] = place.home.rglob("secrets.key")
    token = Marks(key.read_bytes).mark("github-token", FOUND)
    place.stage(
        {"call": [called("keys")]},
        {"call": [called("take", value=token)]},
        {"say": "ok"},
        more=hide,
    )
    place.run("run", "--trust", "go")
    assert place.taken == [{"value": token}]


@pytest.mark.parametrize("more", ["", HIDE])
def test_after_a_resume_no_call_runs_with_a_mark_for_a_secret(place: Place, more: str) -> None:
    """The model wrote the secret itself (or its mark), and the run waited for an approval."""
    asked = '[[policy.rules]]\nid = "a"\ntools = ["take"]\neffect = "ask"\n'
    place.stage(
        {"call": [called("take", value=FOUND)]},
        {"expect": "is a placeholder, and this run does not have the secret", "say": "I see."},
        more=f"{asked}{more}",
    )
    parked = place.run("run", "--trust", "--approve", "defer", "go")
    assert parked.status == 7, parked.err
    ended = place.run("run", "--resume", "last", "--approve", "all", "--trust")
    assert "I see." in ended.out, ended.err
    assert not (place.outside / "taken").exists()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_every_file_is_its_owners_alone_whatever_the_umask(place: Place, umask: int) -> None:
    place.stage(*TURNS)
    (place.home / "transcripts").mkdir(mode=0o700)
    place.run("run", "--trust", "go", umask=umask)
    place.run("tools", "list", umask=umask)
    place.run("audit", "verify", umask=umask)
    loose = {}
    shared = ("servers.toml", "servers.lock", "tmp")  # for version control, and not ours
    theirs = {place.home, *(place.home / name for name in shared)}
    for path in place.home.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        wanted = 0o700 if path.is_dir() else 0o600
        if path not in theirs and mode & 0o077 & ~wanted:
            loose[str(path.relative_to(place.home))] = oct(mode)
    assert loose == {}


def test_a_crash_report_holds_no_secret(place: Place) -> None:
    # threat 55
    place.stage({"say": "x"})
    code = (
        "import sys; from agent_host.records.redact import Redactor;"
        "import agent_host.cli.main as m;"
        f"kept = Redactor({{'CANARY': {CANARY!r}}});\n"
        f"def burst(_): raise RuntimeError('bad ' + {CANARY!r} + ' ' + {FOUND!r})\n"
        "m._execute = burst\nsys.exit(m.main(['doctor']))"
    )
    (place.home / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(place.home, TMPDIR=str(place.home / "tmp")),
        cwd=place.home,
        capture_output=True,
        text=True,
        check=False,
    )
    [report] = (place.home / "tmp").glob("agent-host-crash-*")
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert done.returncode == 1
    text = report.read_text() + done.stderr
    assert "[secret:CANARY]" in text
    holds_none(text, CANARY, FOUND)
