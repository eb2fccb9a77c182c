"""References to secrets."""

from pathlib import Path

import pytest

from agent_host.config.secrets import FILE_LIMIT, check_references, references, resolve, variables
from agent_host.core.errors import ConfigError

KEY = "servers.toml:12: servers.crm.env.TOKEN"


def test_variables_and_files_are_put_where_they_are_named(tmp_path: Path):
    (tmp_path / "token").write_text("from-file\n")
    text = "Bearer ${env:A}/${file:token}/$${env:A}"
    assert resolve(text, {"A": "from-env"}, tmp_path) == "Bearer from-env/from-file/${env:A}"


def test_a_resolved_value_is_not_resolved_again(tmp_path: Path):
    assert resolve("${env:A}", {"A": "${env:B}", "B": "x"}, tmp_path) == "${env:B}"


def test_text_without_references_stays_as_it_is(tmp_path: Path):
    assert resolve("$HOME {a} $$ $", {}, tmp_path) == "$HOME {a} $$ $"


@pytest.mark.parametrize(("environ", "state"), [({}, "not set"), ({"TOKEN": ""}, "empty")])
def test_a_missing_variable_names_the_key_the_line_and_the_variable(environ, state, tmp_path):
    with pytest.raises(ConfigError) as error:
        resolve("${env:TOKEN}", environ, tmp_path, key=KEY)
    assert str(error.value) == (
        f"{KEY} needs the environment variable TOKEN, which is {state}; set it"
    )
    assert error.value.exit_status == 2


def test_a_missing_file_names_the_key_and_the_file(tmp_path: Path):
    with pytest.raises(ConfigError) as error:
        resolve("${file:gone}", {}, tmp_path, key=KEY)
    assert str(error.value) == (
        f"{KEY} needs the file gone: No such file or directory; check the path"
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"a\0b", "NUL"),
        (b"\xff\xfe", "not readable text"),
        (b"x" * (FILE_LIMIT + 1), "larger"),
    ],
)
def test_a_file_that_cannot_be_a_secret_is_refused(content: bytes, words: str, tmp_path: Path):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        resolve("${file:f}", {}, tmp_path, key=KEY)


@pytest.mark.parametrize("text", ["${TOKEN}", "${env:}", "${env:A B}", "${env:A", "${vault:x}"])
def test_an_unknown_form_is_an_error_and_never_passed_on_as_text(text: str):
    with pytest.raises(ValueError, match="reference"):
        check_references(text)


def test_no_error_holds_a_secret(tmp_path: Path):
    (tmp_path / "f").write_bytes(b"hunter2\xff")
    with pytest.raises(ConfigError) as error:
        resolve("${env:A}${file:f}", {"A": "hunter2"}, tmp_path)
    assert "hunter2" not in str(error.value)


def test_the_references_of_a_text_are_known():
    text = "a${env:X}$${env:Y}${file:Z}${env:Q}"
    assert references(text) == ("env:X", "file:Z", "env:Q")
    assert variables(text) == ("X", "Q")
