"""`prompts list|get` over a real server."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def forms(project: Path) -> Path:
    """A config with the server of forms, and one that cannot be started."""
    env = json.dumps(str(ROOT))
    (project / "servers.toml").write_text(
        f"[servers.desk]\ncommand = {json.dumps(sys.executable)}\n"
        f'args = ["-m", "tests.fakes.form_server"]\nenv = {{ PYTHONPATH = {env} }}\n'
        '[servers.gone]\ncommand = "no-such-program-anywhere"\n'
    )
    return project


def test_prompts_are_listed_with_their_arguments_and_what_is_missing_is_said(forms, here):
    done = here("prompts", "list", "--trust")
    assert done.returncode == 0
    assert "desk    summarise  topic [length]  Sum a topic up." in done.stdout
    assert "gone" in done.stderr


def test_a_list_of_one_server_that_is_down_fails(forms, here):
    assert here("prompts", "list", "--server", "gone", "--trust").returncode == 5
    assert here("prompts", "list", "--server", "desk", "--trust").returncode == 0


def test_a_list_can_be_json(forms, here):
    done = here("prompts", "list", "--server", "desk", "--json", "--trust")
    (prompt,) = json.loads(done.stdout)
    assert prompt["name"] == "summarise"
    assert prompt["arguments"][0]["required"] is True


def test_a_prompt_is_filled_in(forms, here):
    done = here("prompts", "get", "desk", "summarise", "topic=a=b", "length=long", "--trust")
    assert (done.returncode, done.stdout) == (0, "user:\n  Sum up a=b, long.\n")
    done = here("prompts", "get", "desk", "summarise", "topic=x", "--json", "--trust")
    assert json.loads(done.stdout)[0]["content"][0]["text"] == "Sum up x, short."


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        (["desk", "summarise"], 2, "the prompt needs topic; as in /desk:summarise topic=…"),
        (["desk", "summarise", "topik=x"], 2, 'no argument "topik"; did you mean'),
        (["desk", "summarise", "x"], 2, '"x" is no KEY=VALUE'),
        (["desk", "sumarise"], 2, 'desk has no prompt "sumarise"; did you mean "summarise"'),
        (["none", "summarise"], 2, 'no server "none"'),
        (["gone", "summarise"], 5, "gone"),
    ],
)
def test_what_is_wrong_with_a_prompt_is_said(forms, here, arguments, status, why):
    done = here("prompts", "get", *arguments, "--trust")
    assert done.returncode == status
    assert why in done.stderr
    assert done.stdout == ""
