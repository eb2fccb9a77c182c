"""servers.lock remembers, and believes nothing it reads."""

import json
import os
import stat
from dataclasses import replace

import pytest

from agent_host.servers.lock import Lock, spec_hash
from agent_host.servers.spec import HttpSpec, StdioSpec
from agent_host.servers.tools.definitions import read_definition

SPEC = StdioSpec(name="s", command="run", args=("--token=hunter2",), env={"KEY": "hunter2"})
RAW = {
    "name": "b",
    "description": "B \u2713 \x1b",
    "inputSchema": {"type": "object", "properties": {"z": {"type": "string"}, "a": {}}},
    "outputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": True, "title": "Bee"},
}


def remembered(**changes):
    entry = {"name": "a", "description": "", "input_schema": {"type": "object"}, "annotations": {}}
    return entry | changes


def tools():
    return tuple(read_definition(SPEC, {**RAW, "name": name}) for name in ("b", "a"))


def written(path):
    lock = Lock.read(path)
    lock.remember(SPEC, "1.0", "2025-11-25", tools())
    assert lock.save() is None
    return path


def test_what_was_remembered_is_recalled(tmp_path):
    path = written(tmp_path / "servers.lock")
    known = Lock.read(path).recall(SPEC)
    assert known is not None
    assert known.tools == tuple(sorted(tools(), key=lambda tool: tool.tool))
    assert (known.version, known.protocol) == ("1.0", "2025-11-25")
    assert list(known.tools[0].input_schema["properties"]) == ["z", "a"]


def test_the_file_is_stable_readable_and_holds_no_secret(tmp_path):
    path = written(tmp_path / "servers.lock")
    text = path.read_text()
    assert text.isascii()
    assert "hunter2" not in text
    assert "\x1b" not in text
    assert text.endswith("}\n")
    assert [t["name"] for t in json.loads(text)["servers"]["s"]["tools"]] == ["a", "b"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o644 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_written_when_nothing_changed(tmp_path):
    path = written(tmp_path / "servers.lock")
    stamp = path.stat().st_ino
    lock = Lock.read(path)
    lock.remember(SPEC, "1.0", "2025-11-25", tools())
    assert not lock.changed
    assert lock.save() is None
    assert path.stat().st_ino == stamp


def test_what_another_run_wrote_meanwhile_stays(tmp_path):
    path = tmp_path / "servers.lock"
    other = replace(SPEC, name="other")
    one, two = Lock.read(path), Lock.read(path)
    one.remember(SPEC, "1.0", "2025-11-25", tools())
    two.remember(other, "2.0", "2025-11-25", tools())
    assert (one.save(), two.save()) == (None, None)
    assert [Lock.read(path).recall(spec).version for spec in (SPEC, other)] == ["1.0", "2.0"]


@pytest.mark.parametrize(
    "change",
    [
        {"command": "other"},
        {"args": ()},
        {"env": {"OTHER": "x"}},
        {"cwd": "/"},
        {"protocol": "legacy"},
    ],
)
def test_a_server_that_is_configured_otherwise_is_unknown(tmp_path, change):
    lock = Lock.read(written(tmp_path / "servers.lock"))
    assert lock.recall(replace(SPEC, **change)) is None


def test_a_new_value_of_a_variable_or_another_choice_of_tools_keeps_the_memory(tmp_path):
    lock = Lock.read(written(tmp_path / "servers.lock"))
    assert lock.recall(replace(SPEC, env={"KEY": "rotated"}, include=("a",))) is not None
    http = HttpSpec(name="h", url="https://x", headers={"K": "1"})
    assert spec_hash(http) == spec_hash(replace(http, headers={"K": "2"}))


def test_a_missing_file_is_empty_and_no_problem(tmp_path):
    lock = Lock.read(tmp_path / "servers.lock")
    assert lock.problem == ""
    assert lock.recall(SPEC) is None
    assert not lock.changed


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"[]", b'{"format": 99, "servers": {}}', b'{"format": 1}', b"[" * 100_000,
     b'{"format": 1, "servers": []}'],
)  # fmt: skip
def test_a_file_that_is_no_lock_is_told_once_and_written_anew(tmp_path, data):
    path = tmp_path / "servers.lock"
    path.write_bytes(data)
    lock = Lock.read(path)
    assert "will be rewritten" in lock.problem
    lock.remember(SPEC, "1.0", "x", tools())
    assert lock.save() is None
    assert Lock.read(path).recall(SPEC) is not None


@pytest.mark.parametrize(
    "entry",
    [
        5,
        {},
        {"tools": "x"},
        {"tools": [5]},
        {"tools": [{"name": "a"}]},
        {"tools": [{"name": 1, "description": "", "input_schema": {}}]},
        {"tools": [{"name": "a", "description": "", "input_schema": {}, "annotations": {"x": 1}}]},
        {"tools": [{"name": "a", "description": "", "input_schema": {}, "output_schema": 5}]},
        {"tools": [remembered(name="a\x1b[31m")]},
        {"tools": [remembered(name="resources/read")]},
        {"tools": [remembered(input_schema={"type": "string"})]},
        {"tools": [remembered(annotations={"read_only": "yes"})]},
        {"tools": [remembered(annotations={"title": 5})]},
        {"tools": [remembered(annotations=["read_only"])]},
    ],
)
def test_an_entry_that_is_damaged_is_as_if_it_were_not_there(tmp_path, entry):
    path = tmp_path / "servers.lock"
    whole = {"spec": spec_hash(SPEC), **entry} if isinstance(entry, dict) else entry
    path.write_text(json.dumps({"format": 1, "servers": {"s": whole}}))
    assert Lock.read(path).recall(SPEC) is None


def test_an_entry_in_which_nothing_is_damaged_is_believed(tmp_path):
    path = tmp_path / "servers.lock"
    whole = {"spec": spec_hash(SPEC), "tools": [remembered(annotations={"read_only": True})]}
    path.write_text(json.dumps({"format": 1, "servers": {"s": whole}}))
    assert Lock.read(path).recall(SPEC).tools[0].annotations.read_only


def test_a_fingerprint_in_the_file_is_not_believed(tmp_path):
    path = written(tmp_path / "servers.lock")
    content = json.loads(path.read_text())
    content["servers"]["s"]["tools"][0]["description"] = "harmless"
    path.write_text(json.dumps(content))
    known = Lock.read(path).recall(SPEC)
    assert known is not None
    assert known.tools[0].fingerprint != content["servers"]["s"]["tools"][0]["fingerprint"]


def test_a_folder_that_cannot_be_written_is_a_value(tmp_path):
    lock = Lock.read(tmp_path / "no" / "servers.lock")
    lock.remember(SPEC, "1.0", "x", tools())
    assert "cannot be written" in (lock.save() or "")
    assert lock.save() is None


def test_a_link_that_waits_for_the_new_file_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / f".servers.lock.{os.getpid()}").symlink_to(victim)
    lock = Lock.read(tmp_path / "servers.lock")
    lock.remember(SPEC, "1.0", "x", tools())
    assert "cannot be written" in (lock.save() or "")
    assert victim.read_text() == "precious"


def test_a_lock_that_is_a_folder_cannot_be_read_and_does_no_harm(tmp_path):
    (tmp_path / "servers.lock").mkdir()
    lock = Lock.read(tmp_path / "servers.lock")
    assert "cannot be read" in lock.problem
    assert lock.recall(SPEC) is None


def changed_tools(description="B, and reads your keys"):
    return (read_definition(SPEC, {**RAW, "description": description}), tools()[1])


def test_what_a_connection_discovered_comes_back_as_it_was(tmp_path):
    path = tmp_path / "servers.lock"
    lock = Lock.read(path)
    found = {"era": "2026-07-28", "capabilities": {"resources": {}}, "odd": ["\ud800", None, 1.5]}
    lock.remember(SPEC, "1.0", "2026-07-28", tools(), discovered=found)
    assert lock.save() is None
    assert Lock.read(path).recall(SPEC).discovered == found


def test_what_was_discovered_stays_until_something_else_is(tmp_path):
    lock = Lock.read(tmp_path / "servers.lock")
    lock.remember(SPEC, "1.0", "x", tools(), discovered={"a": 1}, instructions="Be kind.")
    lock.remember(SPEC, "1.1", "x", tools())
    assert lock.recall(SPEC).discovered == {"a": 1}
    lock.remember(SPEC, "1.1", "x", tools(), discovered={})
    assert lock.recall(SPEC).discovered == {}


@pytest.mark.parametrize("found", [{"a": "x" * 70_000}, {"a": object()}, {"a": {1: {2}}}])
def test_what_is_too_large_or_no_json_is_not_remembered(tmp_path, found):
    lock = Lock.read(tmp_path / "servers.lock")
    lock.remember(SPEC, "1.0", "x", tools(), discovered=found)
    assert lock.save() is None
    assert Lock.read(lock.path).recall(SPEC).discovered == {}


def test_instructions_and_prompts_are_kept_as_hashes_only(tmp_path):
    path = tmp_path / "servers.lock"
    lock = Lock.read(path)
    lock.remember(
        SPEC, "1", "x", tools(), instructions="Secret sauce.", prompts={"p": {"name": "sauce"}}
    )
    lock.save()
    entry = json.loads(path.read_text())["servers"]["s"]
    assert "auce" not in path.read_text()
    assert len(entry["instructions"]) == len(entry["prompts"]["p"]) == 64


def states(lock, some):
    return lock.states(SPEC, some)


def test_a_tool_is_new_when_first_seen_then_known_and_changed_until_it_is_as_it_was(tmp_path):
    path = tmp_path / "servers.lock"
    lock = Lock.read(path)
    lock.remember(SPEC, "1.0", "x", tools())
    assert states(lock, tools()) == {"a": "new", "b": "new"}  # by the file as it was read
    lock.save()
    lock = Lock.read(path)
    assert states(lock, tools()) == {"a": "known", "b": "known"}
    lock.remember(SPEC, "1.0", "x", changed_tools())
    lock.save()
    lock = Lock.read(path)
    assert states(lock, changed_tools()) == {"a": "known", "b": "changed"}
    assert lock.recall(SPEC).tools == tuple(sorted(changed_tools(), key=lambda t: t.tool))
    lock.remember(SPEC, "1.0", "x", tools())
    lock.save()
    assert states(Lock.read(path), tools()) == {"a": "known", "b": "known"}
    assert "pinned" not in json.loads(path.read_text())["servers"]["s"]


def test_the_first_definition_of_a_changed_tool_can_be_shown(tmp_path):
    lock = Lock.read(written(tmp_path / "servers.lock"))
    lock.remember(SPEC, "1.0", "x", changed_tools("one"))
    lock.remember(SPEC, "1.0", "x", changed_tools("two"))
    lock.save()
    entry = json.loads(lock.path.read_text())["servers"]["s"]
    assert entry["pinned"]["b"]["description"] == RAW["description"]


def test_a_tool_that_comes_back_changed_is_not_taken_for_a_new_one(tmp_path):
    lock = Lock.read(written(tmp_path / "servers.lock"))
    lock.remember(SPEC, "1.0", "x", tools()[1:])
    lock.save()
    assert states(Lock.read(lock.path), changed_tools()) == {"a": "known", "b": "changed"}


def test_tools_of_a_server_that_is_configured_otherwise_are_new(tmp_path):
    lock = Lock.read(written(tmp_path / "servers.lock"))
    assert lock.states(replace(SPEC, command="other"), tools()) == {"a": "new", "b": "new"}


@pytest.mark.parametrize("pinned", [5, {"b": 5}, {"b": {}}, {5: {}}])
def test_damaged_pins_do_no_harm(tmp_path, pinned):
    lock = Lock.read(written(tmp_path / "servers.lock"))
    content = json.loads(lock.path.read_text())
    content["servers"]["s"]["pinned"] = pinned
    lock.path.write_text(json.dumps(content))
    assert states(Lock.read(lock.path), tools())["a"] == "known"
