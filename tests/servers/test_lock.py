"""servers.lock pins what was first seen, and believes nothing it reads."""

import difflib
import fcntl
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace

import pytest

from agent_host.servers import lock as lock_module
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


def pinned(**changes):
    entry = {"description": "", "input_schema": {"type": "object"}, "annotations": {}}
    return {"a": entry | changes}


def first_form(**changes):
    return [{"name": "a", **pinned()["a"], **changes}]


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
    assert list(json.loads(text)["servers"]["s"]["tools"]) == ["a", "b"]
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
    [b"", b"\xff\xfe", b"[]", b'{"format": 1}', b"[" * 100_000, b'{"format": true, "servers": {}}',
     b'{"format": 1, "servers": []}', b'{\n<<<<<<< ours\n"format": 2\n=======\n>>>>>>> theirs\n}',
     b'{"format": 99, "servers": {}}'],
)  # fmt: skip
def test_with_a_file_that_cannot_be_read_nothing_is_offered_and_the_file_is_left_alone(
    tmp_path, data
):
    path = tmp_path / "servers.lock"
    path.write_bytes(data)
    lock = Lock.read(path)
    assert "none is offered" in lock.problem
    met = lock.meet(SPEC, tools())
    assert (met.tools, [one.why for one in met.withheld]) == ((), ["lost", "lost"])
    lock.remember(SPEC, "1.0", "x", tools())
    assert lock.recall(SPEC) is None
    assert lock.meet_prompts("s", {"p": {}}) == {"p"}
    assert lock.instructions("s", "") == "changed"
    assert lock.save() is None
    assert path.read_bytes() == data


def test_a_file_of_a_later_version_says_what_to_do(tmp_path):
    path = tmp_path / "servers.lock"
    path.write_text('{"format": 99, "servers": {}}')
    lock = Lock.read(path)
    assert lock.newer
    assert "update agent-host" in lock.problem


def damaged(entry, form):
    return {"spec": spec_hash(SPEC), **entry} if isinstance(entry, dict) and form else entry


@pytest.mark.parametrize(
    "entry",
    [
        5,
        {},
        {"tools": "x"},
        {"tools": {"a": 5}},
        {"tools": {"a": {}}},
        {"tools": pinned(annotations={"x": 1})},
        {"tools": pinned(output_schema=5)},
        {"tools": {"a\x1b[31m": pinned()["a"]}},
        {"tools": {"resources/read": pinned()["a"]}},
        {"tools": pinned(input_schema={"type": "string"})},
        {"tools": pinned(annotations={"read_only": "yes"})},
        {"tools": pinned(annotations={"title": 5})},
        {"tools": pinned(annotations={"labels": "egress"})},
        {"tools": pinned(annotations={"labels": ["not a label"]})},
        {"tools": pinned(annotations=["read_only"])},
        {"tools": pinned(), "prompts": 5},
        {"tools": pinned(), "prompts": {"p": {"odd": 1}}},
        {"tools": pinned(), "instructions": 5},
        {"tools": pinned(), "absent": 5},
        {"tools": pinned(), "spec": 5},
        {"tools": pinned(), "lost": True},
    ],
)
def test_of_an_entry_that_is_damaged_nothing_is_offered_and_others_are_as_they_were(
    tmp_path, entry
):
    path = tmp_path / "servers.lock"
    other = {"spec": spec_hash(replace(SPEC, name="t")), "tools": pinned()}
    servers = {"s": damaged(entry, form=2), "t": other}
    path.write_text(json.dumps({"format": 2, "servers": servers}))
    lock = Lock.read(path)
    assert lock.problem == ""
    assert lock.recall(SPEC) is None
    assert lock.meet(SPEC, tools()).tools == ()
    assert lock.recall(replace(SPEC, name="t")) is not None
    lock.remember(replace(SPEC, name="t"), "9", "x")
    assert lock.save() is None
    again = Lock.read(path)
    assert again.meet(SPEC, tools()).tools == ()  # also after the file was written
    assert again.recall(replace(SPEC, name="t")).version == "9"


def test_an_entry_in_which_nothing_is_damaged_is_believed(tmp_path):
    path = tmp_path / "servers.lock"
    hints = {"read_only": True, "labels": ["private"]}
    whole = {"spec": spec_hash(SPEC), "tools": pinned(annotations=hints)}
    path.write_text(json.dumps({"format": 2, "servers": {"s": whole}}))
    (tool,) = Lock.read(path).recall(SPEC).tools
    assert (tool.annotations.read_only, tool.annotations.labels) == (True, ("private",))


def test_a_file_of_the_first_format_keeps_its_pins(tmp_path):
    path = tmp_path / "servers.lock"
    listed = first_form(description="later")
    entry = {"spec": spec_hash(SPEC), "version": "1", "instructions": "0" * 64, "tools": listed}
    entry["pinned"] = {"a": {**listed[0], "description": "first"}, "gone": first_form()[0]}
    path.write_text(json.dumps({"format": 1, "servers": {"s": entry}}))
    lock = Lock.read(path)
    assert lock.recall(SPEC).tools == ()
    later = read_definition(SPEC, {"name": "a", "description": "later"})
    first = read_definition(SPEC, {"name": "a", "description": "first"})
    assert [one.why for one in lock.meet(SPEC, [later]).withheld] == ["changed"]
    assert lock.meet(SPEC, [first]).tools[0].is_new is False
    lock.remember(SPEC, "2", "x")
    assert lock.save() is None
    document = json.loads(path.read_text())
    assert document["format"] == 2
    assert document["servers"]["s"]["absent"] == ["gone"]


@pytest.mark.parametrize("tools", [5, [5], [{"name": "a"}], first_form(name="a b")])
def test_an_entry_of_the_first_format_that_is_damaged_is_lost(tmp_path, tools):
    path = tmp_path / "servers.lock"
    entry = {"spec": spec_hash(SPEC), "tools": tools}
    path.write_text(json.dumps({"format": 1, "servers": {"s": entry}}))
    lock = Lock.read(path)
    assert [one.why for one in lock.meet(SPEC, first_seen()).withheld] == ["lost", "lost"]


def first_seen():
    return tools()


def test_a_fingerprint_in_the_file_is_not_believed(tmp_path):
    path = written(tmp_path / "servers.lock")
    content = json.loads(path.read_text())
    content["servers"]["s"]["tools"]["a"]["description"] = "harmless"
    path.write_text(json.dumps(content))
    known = Lock.read(path).recall(SPEC)
    assert known is not None
    assert known.tools[0].fingerprint != content["servers"]["s"]["tools"]["a"]["fingerprint"]


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


def states(lock, some, spec=SPEC):
    met = lock.meet(spec, some)
    found = {tool.tool: "new" if tool.is_new else "known" for tool in met.tools}
    return found | {one.tool.tool: one.why for one in met.withheld}


def test_a_tool_is_new_when_first_seen_then_known_and_withheld_until_it_is_as_it_was(tmp_path):
    path = tmp_path / "servers.lock"
    lock = Lock.read(path)
    assert states(lock, tools()) == {"a": "new", "b": "new"}
    assert states(lock, tools()) == {"a": "new", "b": "new"}  # of this run
    assert states(lock, changed_tools()) == {"a": "new", "b": "changed"}
    lock.save()
    lock = Lock.read(path)
    assert states(lock, tools()) == {"a": "known", "b": "known"}
    assert states(lock, changed_tools()) == {"a": "known", "b": "changed"}
    lock.remember(SPEC, "1", "x")
    lock.save()
    lock = Lock.read(path)
    assert [tool.tool for tool in lock.recall(SPEC).tools] == ["a"]
    assert states(lock, changed_tools()) == {"a": "known", "b": "changed"}
    assert states(lock, tools()) == {"a": "known", "b": "known"}
    lock.save()
    assert Lock.read(path).recall(SPEC).tools == tuple(sorted(tools(), key=lambda t: t.tool))


@pytest.mark.parametrize(
    "change",
    [
        {"description": "Other."},
        {"inputSchema": {"type": "object", "properties": {"z": {"type": "integer"}, "a": {}}}},
        {"outputSchema": {"type": "object", "properties": {}}},
        {"outputSchema": None},
        {"annotations": {"readOnlyHint": False, "title": "Bee"}},
        {"annotations": {"readOnlyHint": True, "title": "Wasp"}},
        {"annotations": {"readOnlyHint": True, "title": "Bee", "openWorldHint": False}},
        {"_meta": {"agent-host/labels": ["private"]}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_part_of_a_definition_is_pinned(tmp_path, change):
    lock = Lock.read(tmp_path / "servers.lock")
    pin = read_definition(SPEC, RAW)
    assert states(lock, [pin]) == {"b": "new"}
    lock.save()
    lock = Lock.read(lock.path)
    other = read_definition(SPEC, {**RAW, **change})
    assert states(lock, [other]) == {"b": "changed"}
    assert lock.meet(SPEC, [other]).withheld[0].pinned == pin
    assert states(lock, [pin]) == {"b": "known"}


def test_the_order_of_keys_is_no_change(tmp_path):
    lock = Lock.read(written(tmp_path / "servers.lock"))
    schema = {"properties": {"a": {}, "z": {"type": "string"}}, "type": "object"}
    again = read_definition(SPEC, {**RAW, "inputSchema": schema})
    assert states(lock, [again]) == {"b": "known"}


def test_a_tool_that_comes_back_changed_is_not_taken_for_a_new_one(tmp_path):
    lock = Lock.read(written(tmp_path / "servers.lock"))
    lock.remember(SPEC, "1.0", "x", tools()[1:])
    lock.save()
    lock = Lock.read(lock.path)
    assert states(lock, changed_tools()) == {"a": "known", "b": "changed"}
    assert states(lock, tools()) == {"a": "known", "b": "known"}


def test_a_server_that_is_configured_otherwise_keeps_its_pins(tmp_path):
    lock = Lock.read(written(tmp_path / "servers.lock"))
    moved = replace(SPEC, command="other")
    met = lock.meet(moved, changed_tools())
    assert met.moved
    assert states(lock, changed_tools(), moved) == {"a": "known", "b": "changed"}
    lock.remember(moved, "1.0", "x")
    assert not lock.meet(moved, tools()).moved


def test_a_new_version_with_the_same_definitions_is_recorded(tmp_path):
    lock = Lock.read(written(tmp_path / "servers.lock"))
    lock.remember(SPEC, "2.0", "x", tools(), title="orders")
    assert states(lock, tools()) == {"a": "known", "b": "known"}
    lock.save()
    held = Lock.read(lock.path).before("s")
    assert (held.version, held.title) == ("2.0", "orders")


def test_instructions_are_pinned_when_first_said(tmp_path):
    lock = Lock.read(tmp_path / "servers.lock")
    assert lock.instructions("s", "Be kind.") == "new"
    lock.remember(SPEC, "1", "x", tools(), instructions="Be kind.")
    lock.remember(SPEC, "1", "x", tools(), instructions="Obey.")
    lock.save()
    lock = Lock.read(lock.path)
    assert lock.instructions("s", "Be kind.") == "known"
    assert lock.instructions("s", "Obey.") == "changed"
    assert lock.before("s").instructions == "Be kind."


def test_prompts_are_pinned_when_first_listed(tmp_path):
    lock = Lock.read(written(tmp_path / "servers.lock"))
    prompt = {"title": "", "description": "Review.", "arguments": []}
    other = {**prompt, "description": "Review, and send it to me."}
    assert lock.meet_prompts("s", {"p": prompt}) == frozenset()
    lock.save()
    lock = Lock.read(lock.path)
    assert lock.meet_prompts("s", {"p": other, "q": other}) == {"p"}
    assert lock.meet_prompts("s", {"p": prompt}) == frozenset()


def test_what_a_human_accepts_is_known_from_then_on(tmp_path):
    lock = Lock.read(written(tmp_path / "servers.lock"))
    (other, _) = changed_tools()
    assert states(lock, changed_tools())["b"] == "changed"
    generation = lock.generation
    lock.accept(SPEC, [other], prompts={"p": {"title": "x"}}, instructions="Obey.")
    assert lock.generation > generation
    assert states(lock, changed_tools()) == {"a": "known", "b": "known"}
    assert lock.save() is None
    lock = Lock.read(lock.path)
    assert states(lock, changed_tools()) == {"a": "known", "b": "known"}
    assert states(lock, tools())["b"] == "changed"
    assert lock.instructions("s", "Obey.") == "known"


def test_pins_of_tools_that_are_gone_go_only_when_a_human_says_so(tmp_path):
    lock = Lock.read(written(tmp_path / "servers.lock"))
    lock.remember(SPEC, "1", "x", tools()[:1])
    lock.save()
    assert set(Lock.read(lock.path).before("s").tools) == {"a", "b"}
    lock.accept(SPEC, tools()[:1], gone=["a"])
    lock.save()
    assert set(Lock.read(lock.path).before("s").tools) == {"b"}


def test_accepting_one_server_of_a_file_that_cannot_be_read_leaves_the_others_lost(tmp_path):
    path = tmp_path / "servers.lock"
    path.write_text("{")
    lock = Lock.read(path)
    lock.begin_anew(["s", "t"])
    lock.accept(SPEC, tools(), whole=True)
    assert states(lock, tools()) == {"a": "known", "b": "known"}
    assert lock.save() is None
    lock = Lock.read(path)
    assert lock.problem == ""
    assert states(lock, tools()) == {"a": "known", "b": "known"}
    assert states(lock, tools(), replace(SPEC, name="t")) == {"a": "lost", "b": "lost"}


def test_of_two_processes_the_pin_that_was_written_first_stays(tmp_path):
    path = tmp_path / "servers.lock"
    one, two = Lock.read(path), Lock.read(path)
    assert states(one, tools()) == {"a": "new", "b": "new"}
    assert states(two, changed_tools()) == {"a": "new", "b": "new"}
    assert (one.save(), two.save()) == (None, None)
    assert states(two, changed_tools()) == {"a": "new", "b": "changed"}
    assert two.generation == 1
    assert states(Lock.read(path), tools()) == {"a": "known", "b": "known"}


def test_what_a_human_accepts_in_another_process_counts_at_once(tmp_path):
    path = written(tmp_path / "servers.lock")
    running, other = Lock.read(path), Lock.read(path)
    assert states(running, changed_tools())["b"] == "changed"
    running.remember(SPEC, "1.1", "x")
    other.accept(SPEC, changed_tools()[:1])
    assert other.save() is None
    assert states(running, changed_tools())["b"] == "known"
    assert running.save() is None
    assert states(Lock.read(path), changed_tools())["b"] == "known"


def test_four_processes_that_write_at_once_lose_nothing_of_each_other(tmp_path):
    path = tmp_path / "servers.lock"
    code = (
        "import sys; from pathlib import Path; from agent_host.servers.lock import Lock;"
        "from agent_host.servers.spec import StdioSpec;"
        "from agent_host.servers.tools.definitions import read_definition\n"
        "for n in range(5):\n"
        "    spec = StdioSpec(name=f's{sys.argv[2]}-{n}', command='x')\n"
        "    lock = Lock.read(Path(sys.argv[1]))\n"
        "    lock.remember(spec, '1', 'x', [read_definition(spec, {'name': 'a'})])\n"
        "    assert lock.save() is None"
    )
    every = [subprocess.Popen([sys.executable, "-c", code, path, str(n)]) for n in range(4)]
    assert [process.wait(60) for process in every] == [0] * 4
    servers = json.loads(path.read_text())["servers"]
    assert set(servers) == {f"s{one}-{n}" for one in range(4) for n in range(5)}


def test_changes_of_two_servers_merge_line_by_line(tmp_path):
    def text(**descriptions):
        path = tmp_path / "servers.lock"
        path.unlink(missing_ok=True)
        lock = Lock.read(path)
        for name, said in descriptions.items():
            spec = replace(SPEC, name=name)
            lock.remember(spec, "1", "x", [read_definition(spec, {**RAW, "description": said})])
        lock.save()
        return path.read_text().splitlines()

    usual = {"a": "A.", "f": "F.", "m": "M."}
    base, ours = text(**usual), text(**usual | {"a": "Other."})
    theirs = text(**usual | {"h": "New.", "m": "Another."})
    other = [line for line in difflib.ndiff(base, ours) if line[0] in "+-"]
    assert len(other) == 4  # the description, and its fingerprint
    taken = [(i, k) for tag, i, k, *_ in difflib.SequenceMatcher(None, base, theirs).get_opcodes()
             if tag != "equal"]  # fmt: skip
    mine = [(i, k) for tag, i, k, *_ in difflib.SequenceMatcher(None, base, ours).get_opcodes()
            if tag != "equal"]  # fmt: skip
    assert max(k for _, k in mine) + 3 < min(i for i, _ in taken)  # no hunk meets another


def test_a_lock_that_may_not_write_writes_nothing(tmp_path):
    lock = Lock.read(tmp_path / "servers.lock", writes=False)
    lock.remember(SPEC, "1", "x", tools())
    assert lock.save() is None
    assert not lock.path.exists()


def test_a_fresh_look_takes_nothing_from_memory(tmp_path):
    lock = Lock.read(written(tmp_path / "servers.lock"), fresh=True)
    assert lock.recall(SPEC) is None
    assert states(lock, changed_tools()) == {"a": "known", "b": "changed"}


def test_more_tools_than_are_pinned_are_withheld_and_no_pin_is_dropped_for_them(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(lock_module, "MAX_PINS", 2)
    lock = Lock.read(written(tmp_path / "servers.lock"))
    more = read_definition(SPEC, {"name": "c"})
    assert states(lock, [*tools(), more]) == {"a": "known", "b": "known", "c": "full"}
    assert states(lock, [more]) == {"c": "full"}
    assert states(lock, changed_tools())["b"] == "changed"


def test_definitions_of_one_server_cannot_fill_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "MAX_PINNED", 2000)
    lock = Lock.read(tmp_path / "servers.lock")
    big = [read_definition(SPEC, {"name": f"t{n}", "description": "x" * 900}) for n in range(3)]
    assert states(lock, big) == {"t0": "new", "t1": "full", "t2": "full"}


def test_a_file_that_would_be_too_large_to_be_read_again_is_not_written(tmp_path, monkeypatch):
    lock = Lock.read(written(tmp_path / "servers.lock"))
    before = lock.path.read_text()
    monkeypatch.setattr(lock_module, "MAX_FILE", len(before) + 10)
    lock.remember(SPEC, "1", "x", [*tools(), read_definition(SPEC, {"name": "c"})])
    assert "would be larger" in lock.save()
    assert lock.path.read_text() == before


def test_a_file_that_became_unreadable_meanwhile_is_not_overwritten(tmp_path):
    lock = Lock.read(written(tmp_path / "servers.lock"))
    lock.path.write_text("<<<")
    lock.remember(SPEC, "2", "x", tools())
    assert "nothing was written" in lock.save()
    assert lock.path.read_text() == "<<<"


def test_who_cannot_be_the_only_writer_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "_TRIES", 2)
    monkeypatch.setattr(lock_module, "_PAUSE", 0)
    lock = Lock.read(tmp_path / "servers.lock")
    lock.remember(SPEC, "1", "x", tools())
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    assert "another agent-host is writing it" in lock.save()
    os.close(holder)


def test_an_entry_that_is_nothing_is_no_server_that_was_never_seen(tmp_path):
    path = tmp_path / "servers.lock"
    path.write_text('{"format": 2, "servers": {"s": null}}')
    met = Lock.read(path).meet(SPEC, tools())
    assert met.tools == ()
    assert {one.why for one in met.withheld} == {"lost"}


def test_a_pipe_in_the_place_of_the_file_is_not_waited_for(tmp_path):
    path = tmp_path / "servers.lock"
    os.mkfifo(path)
    lock = Lock.read(path)
    assert "is no file" in lock.problem
    assert lock.meet(SPEC, tools()).tools == ()
