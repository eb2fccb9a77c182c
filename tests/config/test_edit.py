"""A server more or one less, and nothing else of the user's file changed."""

import os
import stat
import threading
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_host.config import edit
from agent_host.config.edit import checked, rendered, rewrite, with_server, without_server
from agent_host.core.errors import ConfigError

CRM = {"url": "https://crm.example/mcp", "headers": {"Authorization": "Bearer ${env:CRM}"}}
FILE = '''\
# The house's servers.
model = "auto"   # any

# Orders: see the wiki.
[servers.orders]
command = "agent-host"
args = [
  "demo-server",   # [servers.fake]
]
# cwd = "x"

# What is said of the desk.
[servers."desk.2".env]
NOTE = """
[servers.another]
# no comment
"""
[servers."desk.2"]
command = 'desk'

# Who may do what.
[policy]
default = "ask"
'''


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def test_a_new_table_stands_after_the_last_server_and_all_else_is_as_it_was():
    new = with_server(FILE, "f", "crm", CRM)
    block = (
        '\n[servers.crm]\nurl = "https://crm.example/mcp"\n'
        'headers = { Authorization = "Bearer ${env:CRM}" }\n'
    )
    assert new == FILE.replace("\n\n# Who may", f"\n{block}\n# Who may")
    assert tomllib.loads(new)["servers"]["crm"] == CRM


def test_in_a_file_without_servers_it_stands_at_the_end():
    assert with_server('model = "x"', "f", "a", {"command": "a"}) == (
        'model = "x"\n\n[servers.a]\ncommand = "a"\n'
    )
    assert with_server("", "f", "a", {"command": "a"}) == '[servers.a]\ncommand = "a"\n'


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        (
            "orders",
            (
                '# Orders: see the wiki.\n[servers.orders]\ncommand = "agent-host"\nargs = [\n'
                '  "demo-server",   # [servers.fake]\n]\n# cwd = "x"\n\n'
            ),
        ),
        ("desk.2", FILE[FILE.index("# What is said") : FILE.index("# Who may")]),
    ],
)
def test_taken_out_is_the_servers_own_and_nothing_else(name, gone):
    new, taken = without_server(FILE, "f", name)
    assert new == FILE.replace(gone, "")
    assert taken.rstrip() == gone.rstrip()


def test_the_comment_above_the_next_table_stays_with_it():
    text = '[servers.a]\ncommand = "a"\n# of b\n[servers.b]\ncommand = "b"\n'
    assert without_server(text, "f", "a")[0] == '# of b\n[servers.b]\ncommand = "b"\n'


def test_the_header_of_the_file_stays_when_the_first_server_goes():
    text = '# My file.\n[servers.a]\ncommand = "a"\n'
    assert without_server(text, "f", "a")[0] == "# My file.\n"


@pytest.mark.parametrize(
    "text",
    [
        '[servers]\na = { command = "a" }\nb = { command = "b" }  # b\n',
        '[servers]\na.command = "a"\nb.command = "b"  # b\n',
        'servers.a.command = "a"\nservers.b.command = "b"  # b\n',
        '[servers.b]\ncommand = "b"  # b\n[limits]\nmax_turns = 1\n[servers.a]\ncommand = "a"\n',
        (
            '[servers.a]\ncommand = "a"\n[limits]\nmax_turns = 1\n[servers.a.env]\nX = "1"\n'
            '[servers.b]\ncommand = "b"  # b\n'
        ),
    ],
)
def test_a_server_is_taken_out_of_any_form_of_toml(text):
    wanted = tomllib.loads(text)
    del wanted["servers"]["a"]
    new, _ = without_server(text, "f", "a")
    assert tomllib.loads(new) == wanted
    assert '"b"' in new
    assert "# b" in new


def test_servers_in_one_inline_table_are_left_alone_and_told_what_to_write():
    text = 'servers = { a = { command = "a" }, b = { command = "b" } }\n'
    with pytest.raises(ConfigError, match="cannot be taken out safely; remove it by hand"):
        without_server(text, "f", "a")
    with pytest.raises(ConfigError, match=r"write it there by hand:\n\[servers.c\]"):
        with_server(text, "f", "c", {"command": "c"})


def test_the_last_server_leaves_no_empty_lines_behind():
    text = 'model = "x"\n\n[servers.a]\ncommand = "a"\n'
    assert without_server(text, "f", "a")[0] == 'model = "x"\n'


def test_a_name_that_is_taken_or_missing_is_an_error():
    with pytest.raises(ConfigError, match='has a server "orders" already'):
        with_server(FILE, "f", "orders", CRM)
    with pytest.raises(ConfigError, match='f: has no server "crm"'):
        without_server(FILE, "f", "crm")


def test_broken_toml_is_said_with_its_line_and_not_touched():
    with pytest.raises(ConfigError, match="f:2:3: invalid TOML"):
        with_server("a = 1\nb b\n[servers.x]\n", "f", "crm", CRM)


def test_line_ends_of_windows_stay():
    text = FILE.replace("\n", "\r\n")
    new = with_server(text, "f", "crm", CRM)
    assert "\n" not in new.replace("\r\n", "")
    assert without_server(new, "f", "crm")[0] == text


def test_a_long_table_is_written_to_be_read():
    table = {"command": "x", "args": ["a" * 60, "b" * 60], "env": {"A" * 40: "1", "B" * 50: "2"}}
    text = rendered("x", table)
    assert tomllib.loads(text)["servers"]["x"] == table
    assert max(map(len, text.splitlines())) < 100
    assert "[servers.x.env]" in text


PIECES = st.sampled_from(
    [
        '[servers.a]\ncommand = "a"\n',
        '# of b\n[servers.b]\ncommand = "b"\n# end\n',
        "\n",
        "# a comment\n",
        "[limits]\nmax_turns = 3\n",
        '[[policy.rules]]\nid = "x"\neffect = "allow"\n',
        '[servers.c]\nurl = "https://c"\n[servers.c.headers]\nA = """\n[servers.z]\n"""\n',
    ]
)


@given(st.lists(PIECES, max_size=6, unique=True), st.booleans())
def test_what_was_added_can_be_taken_out_again_and_only_blank_lines_may_stay(pieces, crlf):
    text = 'model = "m"\n' + "".join(pieces)
    text = text.replace("\n", "\r\n") if crlf else text
    new = with_server(text, "f", "n.n", {"command": "n", "env": {"K": "v\n\"'\t€"}})
    back, _ = without_server(new, "f", "n.n")
    assert [s for s in back.splitlines() if s] == [s for s in text.splitlines() if s]
    assert tomllib.loads(back) == tomllib.loads(text)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_written_so_that_it_is_read_back(key, value):
    table = {"command": "x", "args": [value], "env": {key: value}}
    assert tomllib.loads(rendered("a", table))["servers"]["a"] == table


def test_text_that_is_no_text_is_refused():
    with pytest.raises(ConfigError, match="give them as UTF-8"):
        rendered("a", {"command": "\udcff"})


def test_a_wrong_table_is_said_as_the_schema_says_it():
    with pytest.raises(ConfigError, match=r"servers\.x\.args\[1\] must not hold a reference"):
        checked("x", {"command": "x", "args": ["${env:T}"]})
    with pytest.raises(ConfigError, match="is not a name"):
        checked("a b", {"command": "x"})
    assert checked("x", {"command": "x"}).command == "x"


# The file on the disk.


def add(text: str) -> str:
    return with_server(text, "f", "crm", CRM)


def test_mode_link_and_bom_are_kept(tmp_path):
    real = tmp_path / "real.toml"
    real.write_bytes(b"\xef\xbb\xbf" + FILE.encode())
    real.chmod(0o640)
    link = tmp_path / "servers.toml"
    link.symlink_to(real)
    rewrite(link, add)
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert real.read_bytes() == b"\xef\xbb\xbf" + add(FILE).encode()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "real.toml", "servers.toml"]


def test_a_missing_file_and_its_folder_are_made(tmp_path):
    path = tmp_path / "a/b/servers.toml"
    rewrite(path, add)
    assert path.read_text() == rendered("crm", CRM)


def test_what_an_editor_saved_meanwhile_is_not_lost(tmp_path):
    path = tmp_path / "servers.toml"
    path.write_text(FILE)
    seen = []

    def change(text: str) -> str:
        seen.append(text)
        if len(seen) == 1:
            path.write_text(text + "# saved meanwhile\n")
        return add(text)

    rewrite(path, change)
    assert len(seen) == 2
    assert path.read_text() == add(FILE + "# saved meanwhile\n")


def test_a_file_that_was_made_meanwhile_is_not_lost(tmp_path):
    path = tmp_path / "servers.toml"

    def change(text: str) -> str:
        if not path.exists():
            path.write_text("# made meanwhile\n")
        return add(text)

    rewrite(path, change)
    assert path.read_text().startswith("# made meanwhile\n")
    assert "[servers.crm]" in path.read_text()


def test_a_file_that_was_made_at_the_last_moment_is_not_lost(tmp_path, monkeypatch):
    path = tmp_path / "servers.toml"
    link = os.link

    def late(source: Path, target: Path) -> None:
        if not path.exists():
            path.write_text("# made late\n")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    rewrite(path, add)
    assert path.read_text().startswith("# made late\n\n[servers.crm]")


def test_a_file_that_changes_all_the_time_is_given_up(tmp_path):
    path = tmp_path / "servers.toml"
    path.write_text("")

    def change(text: str) -> str:
        path.write_text(f"{text}#\n")
        return add(text)

    with pytest.raises(ConfigError, match="is being changed all the time"):
        rewrite(path, change)
    assert set(path.read_text()) == {"#", "\n"}


def test_many_at_once_lose_nothing(tmp_path):
    path = tmp_path / "servers.toml"
    path.write_text(FILE)

    def one(number: int) -> None:
        rewrite(path, lambda text: with_server(text, "f", f"s{number}", {"command": "x"}))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tomllib.loads(path.read_text())["servers"]) == 10


def test_a_write_that_fails_leaves_the_file_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "servers.toml"
    path.write_text(FILE)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        ConfigError, match=r"servers\.toml: cannot be written \(No space left on device\)"
    ):
        rewrite(path, add)
    assert path.read_text() == FILE
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "servers.toml"]


def test_what_cannot_be_read_is_said(tmp_path):
    folder = tmp_path / "servers.toml"
    folder.mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        rewrite(folder, add)
    binary = tmp_path / "b.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        rewrite(binary, add)
    large = tmp_path / "l.toml"
    large.write_bytes(b"#" * (edit.SIZE_LIMIT + 1))
    with pytest.raises(ConfigError, match="is larger than"):
        rewrite(large, add)
