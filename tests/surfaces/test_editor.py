import asyncio
import os
import stat
from pathlib import Path

from agent_host.surfaces.editor import Edited, edit_text, editor_of


def program(folder: Path, text: str) -> str:
    path = folder / "editor"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def edit(folder: Path, script: str, text: str = "draft") -> Edited:
    environ = {"PATH": os.environ["PATH"], "EDITOR": program(folder, script)}
    return asyncio.run(edit_text(text, environ))


def test_visual_comes_before_editor_and_nothing_else_counts() -> None:
    assert editor_of({"VISUAL": "code --wait", "EDITOR": "vi"}) == ["code", "--wait"]
    assert editor_of({"VISUAL": " ", "EDITOR": "vi"}) == ["vi"]
    assert editor_of({"EDITOR": "'unclosed"}) == []
    assert "set $VISUAL or $EDITOR" in asyncio.run(edit_text("x", {})).problem


def test_what_was_written_comes_back_without_the_line_end_that_editors_add(tmp_path: Path) -> None:
    assert edit(tmp_path, 'printf "new\\r\\ntext\\n" > "$1"') == Edited("new\ntext")


def test_the_file_is_its_owners_alone_and_gone_afterwards(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    edit(tmp_path, f'stat -c %a "$(dirname "$1")" > {seen}; echo "$1" >> {seen}')
    mode, path = seen.read_text().split()
    assert stat.S_IMODE(int(mode, 8)) == 0o700
    assert not Path(path).exists()


def test_an_editor_that_fails_or_is_not_there_changes_nothing(tmp_path: Path) -> None:
    failed = edit(tmp_path, "exit 3")
    assert failed.text is None
    assert "ended with status 3; nothing was taken" in failed.problem
    gone = asyncio.run(edit_text("x", {"EDITOR": str(tmp_path / "none")}))
    assert "cannot be run" in gone.problem
