from dataclasses import asdict
from pathlib import Path

import pytest

from agent_host.config.paths import user_config_file
from agent_host.config.terminal_file import KEYS, read_terminal, user_terminal_file
from agent_host.core.errors import ConfigError
from agent_host.surfaces.preferences import TerminalPreferences


def said(folder: Path, text: str) -> dict[str, object]:
    path = folder / "terminal.toml"
    path.write_text(text)
    return read_terminal(path)


def test_there_need_be_no_file(tmp_path: Path) -> None:
    assert read_terminal(tmp_path / "terminal.toml") == {}


def test_the_file_is_beside_the_users_own_servers_toml() -> None:
    assert user_terminal_file().parent == user_config_file().parent


def test_every_key_of_the_file_is_a_preference_and_the_other_way_round(tmp_path: Path) -> None:
    usual = asdict(TerminalPreferences())
    assert list(KEYS) == list(usual)
    for name, key in KEYS.items():
        assert usual[name] == (key.choices[0] if key.choices else True)
    text = 'keys = "vi"\nbell = false\ntheme = "dark"\nreasoning = "shown"\nspinner = false\n'
    wanted = TerminalPreferences(**said(tmp_path, text))  # type: ignore[arg-type]
    assert (wanted.keys, wanted.bell, wanted.spinner) == ("vi", False, False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('\nkey = "vi"', ':2: unknown key key; did you mean "keys"?'),
        ('keys = "vim"', ':1: keys must be "emacs" or "vi", not "vim"; did you mean "vi"?'),
        ("bell = 1", ":1: bell must be true or false, not 1"),
        ("keys = true", ':1: keys must be "emacs" or "vi", not true'),
        ("keys = []", ':1: keys must be "emacs" or "vi", not []'),
        ("keys =", ":1:7: invalid TOML"),
        ('bell = 0\nkeys = "x"', ":1: bell must be true or false, not 0 (and 1 more)"),
    ],
)
def test_what_is_wrong_names_file_line_and_nearest_key(
    tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        said(tmp_path, text)
    assert f"terminal.toml{sentence}" in str(caught.value)
