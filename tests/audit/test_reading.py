import json

import pytest

from agent_host.audit.chain import ZERO, seal
from agent_host.audit.files import files, lines_backwards
from agent_host.audit.reading import Query, newest, one, parsed, select
from agent_host.audit.wording import _SENTENCES, sentence
from tests.audit.made import entries_of, entry, lines_of, log_in, time_of, written


def seqs(found):
    return [e["seq"] for e in found]


@pytest.mark.parametrize("max_file", [10**6, 2000])
@pytest.mark.parametrize("count", [1, 7, 50, 1000])
def test_the_newest_entries_come_in_order_whatever_files_they_are_in(tmp_path, count, max_file):
    folder = written(tmp_path, 60, max_file=max_file)
    everything = entries_of(folder)
    assert newest(folder, count) == everything[-count:]


def test_lines_backwards_are_the_lines(tmp_path):
    folder = written(tmp_path, 400)
    (path,) = files(folder)
    assert list(lines_backwards(path)) == lines_of(folder)[::-1]
    with path.open("ab") as file:
        file.write(b"torn")
    assert list(lines_backwards(path)) == lines_of(folder)[-2::-1]
    (tmp_path / "empty").touch()
    assert list(lines_backwards(tmp_path / "empty")) == []


def test_one_entry_is_found_by_number_or_hash(tmp_path):
    folder = written(tmp_path, 60, max_file=4096)
    wanted = entries_of(folder)[40]
    for name in ("41", wanted["hash"], wanted["hash"][:10]):
        assert one(folder, name) == wanted
    assert one(folder, "99999") is None
    assert one(folder, "f" * 64) is None


def log_of_many(tmp_path):
    log = log_in(tmp_path, max_file=3000)
    for n in range(60):
        decided = {"type": "policy_decided", "decision": ("allow", "ask", "deny")[n % 3]}
        rules = {"rule": f"rule-{n % 2}", "rules": [f"rule-{n % 2}", "all"]}
        who = f"user-{n % 4}"
        more = {**decided, **rules, "who": who, "server": ("orders", "mail")[n % 2]}
        log.append([entry(n, **more, approver="bo" if n == 7 else "", run=f"RUN{n % 5}")])
    log.append([entry(60, tool="", name="mail__nope", server="", type="call_refused")])
    log.close()
    return log.folder


CASES = (
    ({"who": "user-1"}, lambda e: e.get("who") == "user-1"),
    ({"who": "user-*"}, lambda e: str(e.get("who", "")).startswith("user-")),
    ({"server": "mail"}, lambda e: e.get("server") == "mail"),
    ({"server": "m*"}, lambda e: e.get("server", "").startswith("m")),
    ({"decision": "deny"}, lambda e: e.get("decision") == "deny"),
    ({"rule": "rule-1"}, lambda e: e.get("rule") == "rule-1"),
    ({"rule": "all"}, lambda e: "all" in e.get("rules", [])),
    ({"approver": "bo"}, lambda e: e.get("approver") == "bo"),
    ({"run": "RUN3"}, lambda e: e["run"] == "RUN3"),
    ({"type": "file_begun"}, lambda e: e["type"] == "file_begun"),
    ({"tool": "mail__nope"}, lambda e: e.get("name") == "mail__nope"),
    ({"tool": "ref*"}, lambda e: e.get("tool", "").startswith("ref")),
    ({"since": time_of(30)}, lambda e: e["time"] >= time_of(30)),
    ({"until": time_of(30)}, lambda e: e["time"] < time_of(30)),
    ({"who": "user-2", "decision": "ask", "server": "orders"}, lambda e: (
        e.get("who"), e.get("decision"), e.get("server")) == ("user-2", "ask", "orders")),
)  # fmt: skip


@pytest.mark.parametrize(("query", "wanted"), CASES, ids=[str(case[0]) for case in CASES])
def test_a_query_finds_what_a_look_at_every_entry_finds(tmp_path, query, wanted):
    folder = log_of_many(tmp_path)
    found, everything = list(select(folder, Query(**query))), entries_of(folder)
    assert found == [e for e in everything if wanted(e)]
    assert found


def test_text_inside_an_entry_does_not_make_it_match(tmp_path):
    log = log_in(tmp_path)
    log.append([entry(1, who="bo", reason='"who":"ana"', arguments={"who": "ana"})])
    log.close()
    assert seqs(select(log.folder, Query(who="ana"))) == []
    assert seqs(select(log.folder, Query(who="bo"))) == [2]


def test_a_value_with_any_character_can_be_looked_for(tmp_path):
    log = log_in(tmp_path)
    who = 'ü"\\\n[x]'
    log.append([entry(1, who=who)])
    log.close()
    assert seqs(select(log.folder, Query(who=who))) == [2]


def test_lines_that_are_no_entry_are_passed_over(tmp_path):
    folder = written(tmp_path, 3)
    (path,) = files(folder)
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(whole[0] + b"garbage\n[1]\n{}\nnull\n" + b"".join(whole[1:]) + b"torn")
    assert seqs(select(folder, Query())) == [1, 2, 3, 4]
    assert seqs(newest(folder, 3)) == [2, 3, 4]


def test_members_have_the_types_that_are_expected_of_them():
    line = json.dumps(
        {"seq": "x", "time": 3, "type": ["a"], "hash": None, "rules": "one", "arguments": [1]}
    )
    found = parsed(line.encode())
    assert found["seq"] == 0
    assert found["type"] == '["a"]'
    assert found["rules"] == ["one"]
    assert found["arguments"] == {"": [1]}
    assert parsed(b'{"seq":1}') is None


@pytest.mark.parametrize("kind", sorted(_SENTENCES))
def test_an_entry_that_lacks_everything_is_still_a_sentence(kind):
    line = seal({"type": kind, "time": "2026-11-25T10:00:00Z"}, 1, ZERO)[0]
    assert sentence(parsed(line))
