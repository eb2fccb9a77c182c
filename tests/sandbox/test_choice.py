"""Which sandbox a server gets, and what happens where there is none."""

import asyncio
import errno
import json
import os
import platform
from dataclasses import replace
from pathlib import Path

import pytest

from agent_host.config.load import load
from agent_host.core.errors import ConfigError
from agent_host.core.events import ServerLog
from agent_host.host.sandboxes import sandbox_of
from agent_host.host.secrets import Secrets
from agent_host.host.servers import server_specs, startable_specs
from agent_host.sandbox import landlock, machine, seccomp
from agent_host.sandbox.confine import Sandbox, choose
from agent_host.sandbox.machine import Machine
from agent_host.sandbox.wish import Wish
from agent_host.servers.confinement import Confinement
from agent_host.servers.spec import HttpSpec, Reply, StdioSpec
from agent_host.servers.transports.process import SpawnFailure, start
from tests.fakes.cells import NOTHING, REAL, Cell, has
from tests.fakes.hosting import call, hostile, running, said

ROOT = Path(__file__).parents[2]
BOTH = Machine(bubblewrap="/usr/bin/bwrap", landlock=7, filters=True, loopback=True)
RULES = replace(BOTH, bubblewrap="", why_not="bubblewrap is not installed")


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (BOTH, "bubblewrap"),
        (RULES, "landlock"),
        (replace(RULES, landlock=1), "landlock"),
        (replace(RULES, landlock=0), "none"),
        (replace(BOTH, filters=False), "none"),
        (NOTHING, "none"),
    ],
)
def test_bubblewrap_is_first_and_rules_are_second(found, kind):
    assert choose(found) == kind
    assert Sandbox(wish=Wish(server="s"), machine=found).kind == kind


def test_where_there_is_none_a_server_runs_and_that_is_said_aloud_once(tmp_path):
    told = []
    sandbox = Sandbox(wish=Wish(server="h"), machine=NOTHING)
    spec = replace(hostile(), sandbox=sandbox)

    async def scenario():
        async with running(spec, observe=told.append) as pool:
            for _ in range(2):
                await call(pool)
            (health,) = pool.health()
            return health

    health = asyncio.run(scenario())
    assert (health.state, health.sandbox) == ("connected", "unsandboxed")
    assert "runs WITHOUT a sandbox, with all of the user's rights" in health.warning
    assert "bubblewrap is not installed; Landlock is not there either" in health.warning
    loud = [i for i in told if isinstance(i, ServerLog) and "WITHOUT a sandbox" in i.text]
    assert [log.level for log in loud] == ["warning"]


def test_where_there_is_none_a_server_that_requires_one_is_not_started(tmp_path):
    pids = tmp_path / "pids"
    sandbox = Sandbox(wish=Wish(server="h", mode="required"), machine=NOTHING)
    spec = replace(hostile("", "--pids", pids), sandbox=sandbox)

    async def scenario():
        async with running(spec) as pool:
            (health,) = pool.health()
            return health

    health = asyncio.run(scenario())
    assert (health.state, health.sandbox, health.pid) == ("failed", "none", None)
    assert "its sandbox is required, and this machine lacks" in health.error
    assert "apt install bubblewrap" in health.error
    assert not pids.exists()


def test_a_server_works_in_its_sandbox_and_says_which(tmp_path):
    for kind in filter(has, ("bubblewrap", "landlock")):
        spec = replace(hostile(), sandbox=Cell(kind, tmp_path).sandbox(program=(str(ROOT),)))

        async def scenario(spec=spec):
            async with running(spec) as pool:
                (health,) = pool.health()
                return health, said(await call(pool, text="hello"))

        health, answer = asyncio.run(scenario())
        assert (health.state, health.sandbox, health.warning) == ("connected", kind, "")
        assert "hello" in answer


def test_without_a_table_a_server_has_no_sandbox_and_that_is_said():
    assert Confinement(StdioSpec(name="s", command="x"), print).kind == "unsandboxed"
    assert Confinement(HttpSpec(name="s", url="http://x"), print).kind == ""


def test_of_a_failed_call_the_line_that_grants_it_is_told_once_beside_the_result(tmp_path):
    told = []
    cell = Cell("landlock", tmp_path)
    spec = StdioSpec(name="s", command="x", sandbox=cell.sandbox(machine=RULES))
    held = Confinement(spec, told.append)
    text = f"EACCES: permission denied, open '{tmp_path}'"
    raw = {"isError": True, "content": [{"type": "text", "text": text}]}
    hints = [held.heard(Reply(kind="result", raw=raw)) for _ in range(2)]
    hints.append(held.heard(Reply(kind="error", text=text)))
    assert set(hints) == set(told)
    assert len(told) == 1
    assert f'read = ["{tmp_path}"]' in told[0]
    fine = {"isError": False, "content": [{"type": "text", "text": text}]}
    assert held.heard(Reply(kind="result", raw=fine)) == ""
    assert raw["content"][0]["text"] == text


def test_a_server_that_dies_says_which_line_would_have_helped(tmp_path):
    kind = next(filter(has, ("bubblewrap", "landlock")), None)
    if kind is None:
        assert choose(REAL) == "none"
        return
    missing = tmp_path / "data.db"
    missing.write_text("x")
    spec = Cell(kind, tmp_path).spec(f"open({str(missing)!r})", name="h")

    async def scenario():
        async with running(spec) as pool:
            (health,) = pool.health()
            return health.error

    error = asyncio.run(scenario())
    assert "it ended before it was ready: exit code 1" in error
    assert f'put read = ["{missing}"] into [servers.s.sandbox]' in error


# ---- from the config


def config(tmp_path, table):
    (tmp_path / "servers.toml").write_text(
        f'model = "offline"\n[servers.s]\ncommand = "true"\n{table}'
    )
    return load(tmp_path / "servers.toml", {})


def wished(tmp_path, table):
    loaded = config(tmp_path, table)
    found = sandbox_of(
        "s", loaded.config.servers["s"], loaded, {"HOME": "/home/x"}, lambda *_, **__: BOTH
    )
    return found and found.wish


def test_without_the_table_and_with_off_there_is_none(tmp_path):
    assert wished(tmp_path, "") is None
    assert wished(tmp_path, "sandbox = false\n") is None
    assert wished(tmp_path, '[servers.s.sandbox]\nmode = "off"\nread = ["."]\n') is None


def test_the_shortest_table_grants_nothing(tmp_path):
    wish = wished(tmp_path, "sandbox = true\n")
    assert (wish.mode, wish.read, wish.write, wish.network) == ("auto", (), (), "none")
    assert (wish.memory, wish.processes, wish.program) == (None, None, ())


def test_paths_are_relative_to_the_file_and_resolved(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    wish = wished(tmp_path, '[servers.s.sandbox]\nread = ["./link"]\nwrite = ["data"]\n')
    assert [(g.named, g.real) for g in wish.read] == [
        (str(tmp_path / "link"), str(tmp_path / "data"))
    ]
    assert [g.named for g in wish.write] == [str(tmp_path / "data")]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('read = ["nowhere"]', "servers.toml:6: servers.s.sandbox.read: nowhere does not exist"),
        ('write = ["~/no/such"]', "servers.toml:6: servers.s.sandbox.write: ~/no/such does not"),
        ('write = ["/"]', 'servers.toml:6: servers.s.sandbox.write: "/" is everything'),
    ],
)
def test_a_path_that_cannot_be_granted_is_an_error_with_its_line(tmp_path, table, message):
    with pytest.raises(ConfigError) as error:
        wished(tmp_path, f"timeout = 5\n[servers.s.sandbox]\n{table}\n")
    assert message in str(error.value)
    loaded = load(tmp_path / "servers.toml", {})
    (spec,) = startable_specs(loaded, Secrets(dict(os.environ)), None)
    assert message in spec.unusable


def test_what_decides_over_servers_is_guarded_and_what_others_said_is_hidden(tmp_path):
    wish = wished(tmp_path, '[servers.s.sandbox]\nwrite = ["."]\n')
    assert {str(tmp_path / n) for n in ("servers.toml", "servers.lock", "policy.toml")} <= set(
        wish.guarded
    )
    assert str(tmp_path / "transcripts") in wish.hidden
    assert str(tmp_path) in wish.private


def test_a_sandbox_makes_no_other_server_of_it(tmp_path):
    secrets = Secrets(dict(os.environ))
    plain = server_specs(config(tmp_path, ""), secrets, None)[0]
    held = server_specs(config(tmp_path, "sandbox = true\n"), secrets, None)[0]
    assert held.sandbox is not None
    assert (plain.identity, plain) == (held.identity, held)


# ---- what the kernel is asked


def test_older_versions_of_landlock_are_told_only_what_they_know():
    assert landlock.handled(1, "none") == ((1 << 13) - 1, 0, 0)
    assert landlock.handled(2, "none")[0] == (1 << 14) - 1
    assert landlock.handled(3, "none")[0] == (1 << 15) - 1
    assert landlock.handled(4, "none") == ((1 << 15) - 1, 3, 0)
    assert landlock.handled(5, "all") == ((1 << 16) - 1, 0, 0)
    assert landlock.handled(6, "none")[2] == landlock.handled(9, "none")[2] == 3


def test_what_older_versions_lack_is_refused_by_the_filter_or_said():
    wish = Wish(server="s")
    assert landlock.wanted(wish, 2).truncate
    assert not landlock.wanted(wish, 3).truncate
    assert "it can send signals to the user's other processes" in landlock.gaps(wish, 5)
    assert "it can send signals to the user's other processes" not in landlock.gaps(wish, 6)


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6, 7])
def test_as_every_version_of_landlock_it_holds_here(version, tmp_path):
    if version > REAL.landlock or not REAL.filters:
        assert version > REAL.landlock or choose(REAL) == "none"
        return
    (tmp_path / "key").write_text("k")
    found = Cell("landlock", tmp_path).tried(
        """
attempt("key", lambda: open(sys.argv[1] + "/key").read())
attempt("cut", lambda: os.truncate(sys.argv[1] + "/key", 0))
attempt("net", lambda: socket.socket())
attempt("tmp", lambda: open(os.environ["TMPDIR"] + "/x", "w").write("x"))
""",
        tmp_path,
        machine=replace(REAL, bubblewrap="", landlock=version),
    )
    assert found == {
        "key": "PermissionError", "cut": "PermissionError", "net": "PermissionError", "tmp": 1,
    }  # fmt: skip
    assert (tmp_path / "key").read_text() == "k"


@pytest.mark.parametrize("processor", ["x86_64", "aarch64", "riscv64"])
def test_filters_are_whole_programs_for_each_kind_of_processor(processor):
    for sockets in ("any", "none", "internet", "notify"):
        wanted = seccomp.Filter(
            shared=True, metadata=True, truncate=True, others=True, sockets=sockets
        )
        code = seccomp.program(wanted, processor)
        assert len(code) % 8 == 0
        assert len(code) // 8 < 4096  # BPF_MAXINSNS
        assert stays_inside(code)
    assert not seccomp.supported("s390x")


def stays_inside(code):
    """Whether every jump lands on an instruction, and the last one returns."""
    count = len(code) // 8
    for at in range(count):
        kind, then, other = code[8 * at], code[8 * at + 2], code[8 * at + 3]
        if kind & 0x07 == 0x05 and at + 1 + max(then, other) >= count:
            return False
    return code[8 * (count - 1)] == 0x06


def test_the_probe_finds_what_this_machine_has_once():
    found = machine.available(os.environ)
    assert found == machine.available(dict(os.environ))
    assert machine._found.cache_info().hits > 0
    assert found.processor == platform.machine()
    assert found.bubblewrap or found.why_not


def test_a_bubblewrap_that_does_not_work_is_passed_over_and_told_of(tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    path, why, _ = machine._bubblewrap(str(tmp_path))
    assert path != str(fake)
    assert path or "does not work here" in why
    assert "No permissions to create new namespace" in machine._tried(str(fake))
    assert os.strerror(errno.ENOENT) in machine._tried(str(tmp_path / "none"))


def test_a_probe_runs_bubblewrap_without_the_rights_of_a_setuid_program(tmp_path):
    # The launcher gives up such rights before, so a probe with them would say too much.
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\ngrep -q 'NoNewPrivs:.1' /proc/self/status\n")
    fake.chmod(0o755)
    assert machine._tried(str(fake)) == ""


def test_what_would_help_depends_on_what_is_wrong(tmp_path):
    broken = replace(
        RULES, landlock=0, why_not="/usr/bin/bwrap does not work here: no", remedy=machine.ALLOW
    )
    strict = Wish(server="s", mode="required", where=lambda _: "servers.toml:3")
    assert "kernel.unprivileged_userns_clone=1" in Sandbox(wish=strict, machine=broken).refusal
    elsewhere = Machine(why_not="sandboxes need Linux, and this is darwin", remedy="")
    refusal = Sandbox(wish=strict, machine=elsewhere).refusal
    assert refusal.endswith(
        '(sandboxes need Linux, and this is darwin): put mode = "auto" into servers.toml:3'
    )


def test_what_a_program_needs_is_a_value_that_can_be_shown(tmp_path):
    confined = Sandbox(wish=Wish(server="s"), machine=BOTH).wrap(
        "/bin/true", (), {"PATH": "/usr/bin", "TOKEN": "canary"}, str(tmp_path)
    )
    assert confined.argv[-1] == "--"
    assert "canary" not in json.dumps(confined.argv)
    assert confined.shields == 1


def test_processes_are_limited_inside_bubblewrap_or_above_what_the_user_runs(tmp_path):
    def options(found):
        wish = Wish(server="s", processes=8)
        confined = Sandbox(wish=wish, machine=found).wrap("/bin/true", (), {}, str(tmp_path))
        if confined.scratch:
            Path(confined.scratch).rmdir()
        return dict(a.split("=", 1) for a in confined.argv if "=" in a)

    assert options(BOTH)["inside"] == "9"
    assert "nproc" not in options(BOTH)
    for counted in (RULES, replace(BOTH, counts_inside=False)):
        assert "inside" not in options(counted)
        assert int(options(counted)["nproc"]) > 8 + 1


def test_where_the_loopback_cannot_be_held_rules_leave_the_rest_of_the_network(tmp_path):
    wish = Wish(server="s", network="loopback")
    confined = Sandbox(wish=wish, machine=replace(RULES, loopback=False)).wrap(
        "/bin/true", (), {"TMPDIR": str(tmp_path)}, str(tmp_path)
    )
    assert not [a for a in confined.argv if a.startswith("listener=")]
    assert confined.scratch.startswith(str(tmp_path))
    assert confined.environ == {"TMPDIR": confined.scratch}


def test_a_folder_for_temporary_files_that_cannot_be_made_is_a_failure_and_no_exception(tmp_path):
    sandbox = Sandbox(wish=Wish(server="s"), machine=RULES)
    found = sandbox.wrap("/bin/true", (), {"TMPDIR": str(tmp_path / "none")}, str(tmp_path))
    assert found == "its folder for temporary files cannot be made: No such file or directory"
    spec = StdioSpec(name="s", command="true", env={"TMPDIR": "/nowhere"}, sandbox=sandbox)
    assert isinstance(start(spec, os.environ), SpawnFailure)
