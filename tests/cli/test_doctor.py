"""`agent-host doctor`."""

import contextlib
import json
import os
import pty
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import keyring
import pytest

from agent_host.cli import doctor
from agent_host.cli.doctor_findings import Check
from tests.fakes.keyring_backend import Backend
from tests.fakes.programs import agent_host, bound_by_permissions
from tests.fakes.ptys import Terminal

DEMO = '[servers.orders]\ncommand = "agent-host"\nargs = ["demo-server"]\n'


def findings(done) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(done.stdout)["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    return found


def test_a_sound_project_has_no_problem(cli, project):
    (project / "servers.toml").write_text(DEMO)
    done = cli("doctor")
    assert done.returncode == 0, done.stdout
    assert "PROBLEM" not in done.stdout
    assert "offline (auto: no provider's key is in the environment): no AI" in done.stdout


def test_a_wrong_config_is_a_problem_and_not_the_end(here, project):
    (project / "servers.toml").write_text("modle = 1")
    done = here("doctor", "--json")
    assert done.returncode == 1
    found = findings(done)
    assert found["config"][0]["text"].startswith("servers.toml:1: unknown key modle")
    assert found["python"][0]["level"] == "ok"


def test_every_problem_names_its_place_and_its_fix(here, project):
    (project / "notes.txt").write_text("not executable")
    (project / "servers.toml").write_text(
        'model = "script:gone.toml"\n'
        '[servers.gone]\ncommand = "npx-of-nobody"\n'
        '[servers.text]\ncommand = "./notes.txt"\n'
        '[servers.env]\ncommand = "sh"\nenv = { A = "${env:NOT_THERE}" }\n'
        '[[policy.rules]]\nid = "r"\nserver = "gonne"\neffect = "deny"\n'
    )
    done = here("doctor", "--json", AGENT_HOST_MODLE="x")
    assert done.returncode == 1
    problems = [
        (check, finding["text"], finding["fix"])
        for check, list_ in findings(done).items()
        for finding in list_
        if finding["level"] == "problem"
    ]
    expected = [
        ("config", 'servers.toml:9: the rule r names the server "gonne"', 'mean "gone"'),
        ("servers", "servers.toml:2: gone: there is no program", "install it"),
        ("servers", "servers.toml:4: text: ", "chmod +x"),
        ("secrets", "servers.toml:8: servers.env.env.A needs the environment variable NOT_TH", ""),
        ("model", "script:gone.toml (plays gone.toml): no file gone.toml", "check its path"),
    ]
    for (check, text, fix), (want, start, inside) in zip(problems, expected, strict=True):
        assert check == want
        assert text.startswith(start)
        assert inside in fix
    (note,) = findings(done)["environment"]
    assert "AGENT_HOST_MODLE" in note["text"]
    assert "AGENT_HOST_MODEL" in note["fix"]


@pytest.mark.parametrize(
    ("command", "package", "pinned"),
    [
        ("npx", "@scope/server", False),
        ("npx", "@scope/server@latest", False),
        ("npx", "@scope/server@1.2.3", True),
        ("npx", "server", False),
        ("uvx", "mcp-server-git", False),
        ("uvx", "mcp-server-git==1.2.3", True),
        ("uvx", "mcp-server-git@1.2.3", True),
    ],
)
def test_a_server_of_no_fixed_version_is_noticed(command, package, pinned, here, project):
    (project / "servers.toml").write_text(
        f'[servers.a]\ncommand = "{command}"\nargs = ["-y", "{package}", "."]\n'
    )
    assert ("versions" in findings(here("doctor", "--json"))) is not pinned


def test_a_key_is_found_without_being_shown(here, project):
    (project / "servers.toml").write_text(DEMO)
    done = here("doctor", "--offline", OPENAI_API_KEY="sk-hunter2")
    assert "auto: OPENAI_API_KEY is set" in done.stdout
    assert "hunter2" not in done.stdout


def test_a_folder_of_transcripts_that_cannot_be_written_is_a_problem(project):
    (project / "servers.toml").write_text(DEMO)
    project.chmod(0o500)
    done = agent_host("doctor", folder=project, before=bound_by_permissions())
    project.chmod(0o700)
    assert "cannot be written" in done.out
    assert done.status == 1


def test_a_file_in_the_place_of_the_folder_of_transcripts_is_a_problem(here, project):
    (project / "servers.toml").write_text(DEMO)
    (project / "transcripts").write_text("")
    done = here("doctor")
    assert "is no folder" in done.stdout
    assert done.returncode == 1


def test_what_is_worth_knowing_is_noted_and_no_problem(here, project):
    (project / "servers.toml").write_text(
        'model = "m"\n[models.m]\nadapter = "openai-chat"\nmodel = "x"\n'
        'base_url = "http://127.0.0.1:9/v1"\napi_key = "a-literal-key-of-some-length"\n'
        '[servers.off]\ncommand = "x"\nenabled = false\n'
        '[servers.web]\nurl = "http://127.0.0.1:9/mcp"\n'
        '[policy]\ndefault = "allow"\n'
    )
    done = here("doctor", "--json", GROQ_API_KEY="hunter2")
    assert done.returncode == 0
    found = findings(done)
    assert found["config"][1]["text"].startswith('servers.toml:13: policy.default is "allow"')
    assert [f["text"] for f in found["servers"]] == [
        "servers.toml:7: off is disabled",
        "servers.toml:10: web is at a URL; `agent-host servers test web` asks it",
    ]
    assert found["secrets"][0]["text"].startswith("servers.toml:6: a key stands in the file")
    assert found["trust"][0]["text"] == (
        "not trusted yet: servers.off, servers.web, models.m, policy"
    )
    assert [f["text"] for f in found["model"]] == [
        "m ([models.m])",
        "openai-chat at http://127.0.0.1:9/v1, configured, price unknown",
        "keys are there too for: groq",
    ]
    assert "a-literal-key" not in done.stdout
    here("trust")
    assert (
        findings(here("doctor", "--json"))["trust"][0]["text"] == "servers.toml is trusted as it is"
    )


def test_a_model_without_its_key_is_a_problem(here, project):
    (project / "servers.toml").write_text('model = "openai:x"')
    done = here("doctor", "--json")
    assert done.returncode == 1
    assert findings(done)["model"][0]["text"] == (
        "servers.toml:1: the model openai:x needs a key: set OPENAI_API_KEY, or use --model offline"
    )


def test_a_damaged_trust_store_is_a_problem(here, project, environment):
    store = Path(environment["HOME"]) / ".local/share/agent-host/trust.json"
    store.parent.mkdir(parents=True)
    store.write_text("{")
    (project / "servers.toml").write_text('[servers.a]\ncommand = "sh"\n')
    done = here("doctor", "--json")
    assert done.returncode == 1
    assert "is damaged; remove it" in findings(done)["trust"][0]["text"]


def test_facts_of_the_terminal_are_told_at_a_terminal(project, environment):
    (project / "servers.toml").write_text(DEMO)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "agent_host", "doctor"],
        cwd=project,
        env=environment | {"TERM": "xterm", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    ):
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the other side is closed
            while part := os.read(ours, 4096):
                shown += part
        os.close(ours)
    assert b"xterm, " in shown
    assert b"no colour (NO_COLOR)" in shown


def test_a_cloud_without_its_library_is_a_problem_with_what_to_install(here, project, monkeypatch):
    (project / "servers.toml").write_text('model = "bedrock:openai.gpt-oss-120b"\n')
    done = here("doctor", "--json", AWS_REGION="eu-west-1")
    assert done.returncode == 0, done.stdout
    named, known = (f["text"] for f in findings(done)["model"])
    assert named == "bedrock:openai.gpt-oss-120b (named by provider)"
    assert known.startswith("openai-chat at https://bedrock-mantle.")
    assert known.endswith("131,072 tokens, price unknown")
    monkeypatch.setitem(sys.modules, "boto3", None)
    done = here("doctor", "--json", AWS_REGION="eu-west-1")
    assert done.returncode == 1
    problem = findings(done)["model"][1]
    assert problem["text"].endswith("is asked with AWS credentials, which need the package boto3")
    assert problem["fix"] == "pip install agent-host[aws]"


def test_a_key_that_the_keyring_does_not_have_is_a_problem(here, project):
    (project / "servers.toml").write_text(
        'model = "m"\n[models.m]\nprovider = "groq"\napi_key = "${keyring:agent-host/none}"\n'
    )
    before = keyring.get_keyring()
    keyring.set_keyring(Backend())
    done = here("doctor", "--json")
    keyring.set_keyring(before)
    assert done.returncode == 1
    assert findings(done)["model"][0]["text"] == (
        "the key of m needs the keyring's entry agent-host none, which is not there; make it with "
        "`keyring set agent-host none`"
    )


def by_id(done) -> dict[str, dict[str, str]]:
    return {finding["id"]: finding for finding in json.loads(done.stdout)["findings"]}


def test_each_finding_has_an_id_a_place_and_a_fix_for_scripts(here, project):
    (project / "servers.toml").write_text('[servers.gone]\ncommand = "npx-of-nobody"\n')
    finding = by_id(here("doctor", "--json"))["servers.no-command"]
    assert (finding["level"], finding["where"]) == ("problem", "servers.toml:1")
    assert finding["fix"].startswith("install it")
    (project / "servers.toml").write_text("modle = 1")
    assert by_id(here("doctor", "--json"))["config.wrong"]["where"] == "servers.toml:1"


def test_a_trusted_server_is_connected_to_and_nothing_is_learned_of_it(here, project):
    (project / "servers.toml").write_text(
        DEMO + '[servers.bad]\ncommand = "sh"\nargs = ["-c", "echo boom >&2; exit 3"]\n'
    )
    here("trust", "--yes")
    done = here("doctor", "--json")
    assert done.returncode == 1
    found = by_id(done)
    assert "11 tools" in found["connections.connected"]["text"]
    assert "boom" in found["connections.failed"]["text"]
    assert found["connections.failed"]["where"] == "servers.toml:4"
    assert not (project / "servers.lock").exists()
    offline = by_id(here("doctor", "--json", "--offline"))
    assert "connections.connected" not in offline
    assert "connections.not-asked" in offline


def test_passwords_of_proxies_are_not_shown(here, project):
    (project / "servers.toml").write_text(DEMO)
    done = here("doctor", "--offline", HTTPS_PROXY="http://me:hunter2@127.0.0.1:9")
    assert "HTTPS_PROXY=http://me:(hidden)@127.0.0.1:9" in done.stdout
    assert "hunter2" not in done.stdout


def test_damage_of_what_is_kept_is_found(here, project, environment):
    (project / "servers.toml").write_text(DEMO)
    data = Path(environment["HOME"]) / ".local/share/agent-host"
    data.mkdir(parents=True)
    data.chmod(0o777)
    (data / "state.db").write_bytes(b"SQLite format 3\x00" + b"\xff" * 4096)
    (project / "transcripts").mkdir()
    (project / "transcripts" / "01K00000000000000000000000.jsonl").write_text("{}\nrubbish\n")
    found = by_id(here("doctor", "--json", "--offline"))
    assert found["state.damaged"]["level"] == "problem"
    assert found["folders.open"]["fix"].startswith("chmod 700")
    assert found["transcripts.broken"]["level"] == "note"


def test_a_check_that_hangs_or_fails_is_a_finding_and_not_the_end(here, project, monkeypatch):
    (project / "servers.toml").write_text(DEMO)
    never = threading.Event()

    def hangs(_):
        never.wait()
        yield

    def fails(_):
        raise ZeroDivisionError
        yield

    rows = (Check("hangs", hangs, 0.1), Check("fails", fails), *doctor.CHECKS)
    monkeypatch.setattr(doctor, "CHECKS", rows)
    done = here("doctor", "--json", "--offline")
    never.set()
    assert done.returncode == 1
    found = by_id(done)
    assert "did not come back within 0.1 s" in found["hangs.no-answer"]["text"]
    assert "ZeroDivisionError" in found["fails.failed"]["text"]
    assert found["python.version"]["level"] == "ok"


@pytest.mark.parametrize(
    ("status", "body", "kind", "level"),
    [
        (200, {"data": [{"id": "pelican"}]}, "endpoint.reached", "ok"),
        (200, {"data": [{"id": "pelicam"}]}, "endpoint.name-not-listed", "note"),
        (200, "no list", "endpoint.answers", "ok"),
        (404, {}, "endpoint.answers", "ok"),
        (401, {"error": "Bearer sk-hunter2-hunter2"}, "endpoint.key-refused", "problem"),
    ],
)
def test_a_models_endpoint_is_asked_for_its_models_and_nothing_else(
    status, body, kind, level, here, project
):
    asked = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"]))
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (project / "servers.toml").write_text(
        'model = "m"\n[models.m]\nadapter = "openai-chat"\nmodel = "pelican"\n'
        f'base_url = "http://127.0.0.1:{server.server_port}/v1"\napi_key = "${{env:KEY}}"\n'
    )
    before = here("doctor", "--json", KEY="sk-hunter2-hunter2")
    assert by_id(before)["endpoint.not-asked"]["level"] == "note"
    assert asked == []  # nobody has trusted it
    here("trust", "--yes")
    done = here("doctor", "--json", KEY="sk-hunter2-hunter2")
    server.shutdown()
    server.server_close()
    assert asked == [("/v1/models", "Bearer sk-hunter2-hunter2")]
    assert by_id(done)[kind]["level"] == level
    assert "hunter2" not in done.stdout


def test_an_endpoint_that_is_not_there_is_a_problem(here, project):
    (project / "servers.toml").write_text(
        'model = "m"\n[models.m]\nadapter = "openai-chat"\nmodel = "pelican"\n'
        'base_url = "http://127.0.0.1:9/v1"\napi_key = "x"\n'
    )
    here("trust", "--yes")
    finding = by_id(here("doctor", "--json"))["endpoint.unreachable"]
    assert (finding["level"], "base_url" in finding["fix"]) == ("problem", True)


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_findings_are_folded_between_words_at_any_width(columns, project):
    (project / "servers.toml").write_text(DEMO)
    with Terminal("doctor", "--offline", cwd=project, columns=columns, lines=50) as terminal:
        assert terminal.exit_status() == 0
    shown = terminal.raw.decode().rpartition("\x1b[2K")[2].replace("\r\n", "\n")
    lines = shown.split("\n")
    assert [line for line in lines if len(line) >= columns] == []
    assert "no problems, " in terminal.text
