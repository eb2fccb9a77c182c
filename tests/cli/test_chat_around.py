import argparse
import shlex

from agent_host.cli.chat import configure
from agent_host.cli.chat_around import Surroundings, arguments_of
from agent_host.config.load import load
from tests.cli.policies import write


class Host:
    """A session that is over, as far as what is around it looks at it."""

    run_id = "run-1"

    def __init__(self, folder, model=""):
        self.transcript_path = folder / "transcripts" / "run-1.jsonl"
        self.model = model

    def models(self):
        return ["offline", "nobody:nothing"]

    def resume_options(self):
        return f"--resume run-1{self.model}"


def options(*words):
    parser = argparse.ArgumentParser()
    parser.add_argument("--config")
    configure(parser)
    return parser.parse_args(words)


def test_a_chat_goes_on_with_the_same_options_the_model_that_answers_and_the_mode(tmp_path):
    given = options(
        "--config", "my servers.toml", "--server", "a", "--server", "b", "--effort", "high",
        "--max-cost", "2", "--max-time", "60", "--resume", "old", "--trust",
    )  # fmt: skip
    host = Host(tmp_path, f" --model {shlex.quote('a b:c')}")
    words = arguments_of(given, ("--resume", "new"), host, "none")
    assert words[:3] == ["--config", "my servers.toml", "chat"]
    again = options(*words[:2], *words[3:])
    assert vars(again) == vars(given) | {"resume": "new", "model": "a b:c", "approve": "none"}


def test_what_was_allowed_unseen_in_one_chat_is_not_in_the_next(tmp_path):
    host = Host(tmp_path)
    assert options(*arguments_of(options(), (), host, "all")[1:]).approve == "ask"
    loose = options("--approve", "all")
    assert options(*arguments_of(loose, (), host, "all")[1:]).approve == "all"
    assert options(*arguments_of(loose, (), host, "ask")[1:]).approve == "ask"


def test_a_new_conversation_resumes_nothing(tmp_path):
    words = arguments_of(options("--resume", "old"), (), Host(tmp_path), "ask")
    assert "old" not in words
    assert "--resume" not in words


def test_the_values_and_models_are_those_of_the_config(project):
    write(project)
    here = Surroundings(load(project / "servers.toml", {}, cwd=project), Host(project))
    values = {one.key: one for one in here.config()}
    assert values["limits.max_turns"].origin == "default"
    assert any(one.origin.startswith("servers.toml:") for one in values.values())
    offline, unknown = here.models()
    assert (offline.name, offline.key, offline.price) == ("offline", "no AI", "")
    assert "nothing" in unknown.key or "nobody" in unknown.key


def test_only_artifacts_of_the_run_are_read(tmp_path):
    folder = tmp_path / "transcripts" / "run-1.artifacts"
    folder.mkdir(parents=True)
    (folder / "long.txt").write_text("all of it")
    (tmp_path / "transcripts" / "secret.txt").write_text("secret")
    here = Surroundings(None, Host(tmp_path))
    assert here.artifact("run-1.artifacts/long.txt") == "all of it"
    assert here.artifact("run-1.artifacts/../secret.txt") is None
    assert here.artifact("run-1.artifacts/none.txt") is None
    assert here.artifact("..") is None
