import asyncio
import os
import signal
import stat
from pathlib import Path

from agent_host.surfaces.editor import Edited, edit_text, editor_of, json_editor


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


def test_control_c_is_the_editors_own_while_it_runs(tmp_path: Path) -> None:
    came: list[int] = []

    async def edits() -> Edited:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, came.append, 1)
        # It ends by a Ctrl-C that goes to it alone, as what is ignored here is not ignored there.
        script = f'sleep 0.5; kill -INT {os.getpid()}; echo new > "$1"; kill -INT $$; sleep 60'
        environ = {"PATH": os.environ["PATH"], "EDITOR": program(tmp_path, script)}
        edited = await edit_text("draft", environ)
        assert came == []
        os.kill(os.getpid(), signal.SIGINT)
        while not came:
            await asyncio.sleep(0)
        loop.remove_signal_handler(signal.SIGINT)
        return edited

    assert "ended with status -2" in asyncio.run(edits()).problem


def test_arguments_are_edited_as_a_file_of_json_and_problems_are_told(tmp_path: Path) -> None:
    said: list[str] = []
    assert json_editor({"PATH": os.environ["PATH"]}, said.append) is None
    environ = {"PATH": os.environ["PATH"]}
    able = json_editor(environ | {"VISUAL": program(tmp_path, 'echo "$1" > "$1"')}, said.append)
    assert able is not None
    assert (asyncio.run(able("{}\n")) or "").strip().endswith(".json")
    failing = json_editor(environ | {"VISUAL": program(tmp_path, "exit 2")}, said.append)
    assert failing is not None
    assert asyncio.run(failing("{}")) is None
    assert "status 2" in said[0]


def test_a_handler_that_is_set_while_an_editor_runs_stays(tmp_path: Path) -> None:
    async def edits() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, int)
        environ = {"PATH": os.environ["PATH"], "EDITOR": program(tmp_path, "sleep 0.3")}
        editing = asyncio.create_task(edit_text("draft", environ))
        while signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            await asyncio.sleep(0.005)
        loop.remove_signal_handler(signal.SIGINT)
        await editing
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    asyncio.run(edits())
