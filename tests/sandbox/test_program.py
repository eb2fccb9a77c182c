"""What is taken for a part of a program, and what is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent_host.sandbox.program import parts

PATH = os.environ["PATH"]


def file(path, text="", mode=0o755):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def found(executable, *args, cwd="/", private=(), path=PATH):
    return set(parts(str(executable), args, cwd=str(cwd), path=path, private=private))


def test_of_a_plain_program_the_file_alone(tmp_path):
    tool = file(tmp_path / "bin" / "tool", "\x7fELF")
    assert found(tool) == {str(tool)}


def test_of_a_virtual_environment_all_and_the_python_that_it_was_made_from(tmp_path):
    base = tmp_path / "python"
    real = file(base / "bin" / "python3.11", "\x7fELF")
    file(base / "lib" / "python3.11" / "os.py")
    venv = tmp_path / "project" / ".venv"
    file(venv / "pyvenv.cfg", f"home = {base / 'bin'}\nversion = 3.11.7\n")
    (venv / "bin").mkdir()
    (venv / "bin" / "python").symlink_to(real)
    server = file(venv / "bin" / "server", f"#!{venv / 'bin' / 'python'}\n")
    assert {str(venv), str(base), str(real)} <= found(server)
    assert str(tmp_path / "project") not in found(server)
    assert {str(venv), str(base)} <= found(venv / "bin" / "python")


def test_the_real_environment_of_these_tests_runs_from_its_parts():
    whole = found(sys.executable)
    assert any(sys.executable.startswith(p) for p in whole)
    prefix = os.path.realpath(sys.base_prefix)
    assert prefix == "/usr" or any(prefix.startswith(os.path.realpath(p)) for p in whole)


def test_what_a_package_says_of_other_folders_is_not_followed(tmp_path):
    venv, source = tmp_path / ".venv", tmp_path / "src" / "deep"
    source.mkdir(parents=True)
    file(venv / "pyvenv.cfg", "home = /usr/bin\n")
    file(venv / "lib" / "python3.11" / "site-packages" / "mine.pth", f"{source}\n")
    key = file(tmp_path / "keys" / "id_rsa", "PRIVATE", mode=0o600)
    tool = file(venv / "bin" / "tool", f"#!{key}\n")
    assert not {str(source), str(source.parent), str(key)} & found(tool)


def test_of_a_script_its_folder(tmp_path):
    script = file(tmp_path / "server" / "main.py")
    python = file(tmp_path / "bin" / "python3")
    assert {str(script), str(script.parent)} <= found(python, "-u", str(script))
    assert str(script) in found(python, "main.py", cwd=script.parent)
    for args in (("-c", str(script)), ("-m", str(script)), ("-",), ()):
        assert str(script) not in found(python, *args)


@pytest.mark.parametrize("where", ["home", "home/project"])
def test_of_a_script_in_a_folder_that_holds_more_the_file_alone(tmp_path, where):
    script = file(tmp_path / where / "main.py")
    python = file(tmp_path / "bin" / "python3")
    private = (str(tmp_path / "home" / "project"), str(tmp_path / "home"))
    whole = found(python, str(script), private=private)
    assert str(script) in whole
    assert not any(str(tmp_path / "home" / "project").startswith(p) for p in whole)


def test_a_data_file_is_no_script_of_a_program_that_is_no_interpreter(tmp_path):
    data = file(tmp_path / "data" / "secret.txt", mode=0o600)
    tool = file(tmp_path / "bin" / "tool")
    assert found(tool, str(data)) == {str(tool)}


def test_of_a_node_package_it_and_all_that_is_installed_with_it(tmp_path):
    file(tmp_path / "app" / "node_modules" / "server" / "dist" / "index.js")
    file(tmp_path / "app" / "node_modules" / "server" / "package.json", "{}")
    (tmp_path / "app" / "node_modules" / ".bin").mkdir()
    link = tmp_path / "app" / "node_modules" / ".bin" / "server"
    link.symlink_to("../server/dist/index.js")
    assert str(tmp_path / "app" / "node_modules") in found(link)
    assert str(tmp_path / "app") not in found(link)
    own = file(tmp_path / "own" / "build" / "main.js")
    file(tmp_path / "own" / "package.json", "{}")
    assert str(tmp_path / "own") in found(file(tmp_path / "bin" / "node"), str(own))


def test_of_a_node_that_a_version_manager_installed_its_prefix(tmp_path):
    prefix = tmp_path / "versions" / "v22"
    node = file(prefix / "bin" / "node", "\x7fELF")
    npx = file(
        prefix / "lib" / "node_modules" / "npm" / "bin" / "npx-cli.js", "#!/usr/bin/env node"
    )
    (prefix / "bin" / "npx").symlink_to(npx)
    whole = found(prefix / "bin" / "npx", path=str(node.parent))
    assert {str(prefix), str(node)} <= whole


def test_a_home_folder_with_programs_is_no_prefix(tmp_path):
    home = tmp_path / "home"
    tool = file(home / "bin" / "tool", "\x7fELF")
    file(home / "lib" / "python3.11" / "site-packages" / "x.py")
    assert found(tool, private=(str(home),)) == {str(tool)}
    file(home / "lib" / "python3.11" / "os.py")
    assert found(tool, private=(str(home),)) == {str(tool)}
    assert str(home) not in found(tool, private=(str(home / ".config"),))


def test_symlinks_and_first_lines_that_lead_in_a_circle_end(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.symlink_to(two)
    two.symlink_to(one)
    assert found(one) == set()
    script = file(tmp_path / "self", f"#!{tmp_path / 'self'}\n")
    assert found(script) == {str(script)}


def test_a_venv_that_lies_about_its_home_grants_no_folder(tmp_path):
    secret = tmp_path / "keys"
    file(secret / "python3", "key")
    venv = tmp_path / "venv"
    file(venv / "pyvenv.cfg", f"home = {secret}\n")
    tool = file(venv / "bin" / "tool", "\x7fELF")
    assert found(tool) == {str(tool), str(venv), str(secret / "python3")}


def test_the_interpreter_is_what_the_system_would_start(tmp_path):
    script = file(tmp_path / "s" / "tool", "#!/usr/bin/env -S bash -e\necho it runs\n")
    assert any(Path(p).name == "bash" for p in found(script))
    assert subprocess.check_output([str(script)]) == b"it runs\n"
