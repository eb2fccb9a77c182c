import json
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent_host.core import events as e
from agent_host.core.types import Message, Text, ToolCall
from agent_host.records.codec import MAX_DEPTH, encode
from agent_host.records.decode import decode
from agent_host.records.detect import Detector
from agent_host.records.forms import forms
from agent_host.records.marks import Marks
from agent_host.records.redact import Redactor, without_any
from agent_host.records.streamed import redacted
from tests.records.samples import LEGAL, finished, records, responded, started, user
from tests.records.secrets import SAMPLES

PLAIN = records(*LEGAL)


def through(redactor, event):
    return decode(redactor.encode(records(event)[0])).event


@pytest.mark.parametrize(
    "secret", ["hunter2", 'q"uote"d', "back\\slash", "new\nline", "é\U0001f600é\0xy"]
)
def test_a_secret_is_replaced_wherever_a_record_holds_text(secret):
    redactor = Redactor({"TOKEN": secret})
    arguments = {"a": [f"x{secret}y", {secret: secret}]}
    for event in (
        user(f"use {secret}"),
        started("c", "t", arguments),
        finished("c", secret * 2),
        responded("r", Text(text=secret), ToolCall(id="c", name="n", arguments=arguments)),
        e.ModelFailed(request_id="r", kind="auth", message=f"bad key {secret}"),
        e.ToolsChanged(server="s", added=(f"a{secret}",)),
    ):
        line = redactor.encode(records(event)[0])
        assert json.dumps(secret)[1:-1].encode() not in line
        assert b"[secret:TOKEN]" in line
        assert decode(line).event.type == event.type
    changed = through(redactor, started("c", "t", arguments)).arguments
    mark = "[secret:TOKEN]"
    assert changed == {"a": [f"x{mark}y", {mark: mark}]}


@settings(max_examples=150, deadline=None)
@given(
    st.text(alphabet='nu\\"0a\n\u00e9[]{}:,\ud800', min_size=6, max_size=8),
    st.lists(st.text(alphabet='nu\\"0a\n\u00e9[]{}:,\ud800', max_size=6), max_size=3),
)
def test_only_the_exact_value_is_replaced_and_the_line_stays_sound(secret, around):
    text = secret.join(around)
    assume(not any(form in text for form in forms(secret)[1:]))
    event = Message(role="user", content=(Text(text=text),))
    said = e.UserSaid(message=event)
    back = through(Redactor({"S": secret}), said)
    assert back.message.content[0].text == text.replace(secret, "[secret:S]")


@pytest.mark.parametrize("word", ["run_started", "assistant", "truncated_call", "session_tool"])
def test_a_secret_that_reads_like_a_keyword_breaks_no_record(word):
    redactor = Redactor({"ODD": word})
    for record in PLAIN:
        back = decode(redactor.encode(record))
        assert type(back.event) is type(record.event)
        assert (back.seq, back.at, back.run_id) == (record.seq, record.at, record.run_id)


def test_the_longest_of_two_overlapping_secrets_is_replaced_as_a_whole():
    redactor = Redactor({"SHORT": "abcdef", "LONG": "abcdefgh", "MARK": "secret:SHORT"})
    assert redactor.text("abcdefgh abcdef") == "[secret:LONG] [secret:SHORT]"


def test_records_without_a_secret_are_written_as_ever():
    redactor = Redactor({"A": "hunter2", "EMPTY": "", "SHORT": "abc"})
    for record in PLAIN:
        assert redactor.encode(record) == encode(record)
        assert Redactor({}).encode(record) == encode(record)
    assert redactor.text("abc") == "abc"
    assert Redactor({}).text("abc") == "abc"
    assert Redactor({}).bytes(b"abc") == b"abc"


def test_a_secret_inside_deep_values_does_not_get_through_either():
    value = ["hunter2"]
    for _ in range(MAX_DEPTH + 50):
        value = ["hunter2", value]
    line = Redactor({"A": "hunter2"}).encode(records(started("c", "t", {"x": value}))[0])
    assert b"hunter2" not in line
    assert decode(line)


def test_the_redactor_itself_shows_no_secret():
    assert "hunter2" not in repr(Redactor({"A": "hunter2"}))


def test_a_secret_that_became_known_later_is_replaced_from_then_on():
    redactor = Redactor({"A": "hunter2"})
    redactor.add({"B": "hunter2-b", "SHORT": "abc"})
    assert redactor.text("hunter2 hunter2-b abc") == "[secret:A] [secret:B] abc"
    assert redactor.bytes(b"hunter2-b") == b"[secret:B]"


FOUND = SAMPLES["GitHub"].secret
JWT = SAMPLES["JWT"].secret


def finding(**known):
    return Redactor(known, Detector(), Marks(lambda: b"k" * 32))


def test_what_is_found_is_replaced_wherever_a_record_holds_text():
    redactor = finding(KEY="hunter22")
    arguments = {"note": f"see {FOUND}", "deep": [{"password": "S3cret!pw"}], "n": 1}
    for event in (
        user(f"use {FOUND}"),
        started("c", "t", arguments),
        finished("c", f"password: S3cret!pw and {FOUND}"),
        responded("r", Text(text=f"It is {FOUND}")),
        e.ModelFailed(request_id="r", kind="auth", message=f"bad key {FOUND}"),
        e.ServerLost(server="s", reason=f"said {FOUND}"),
    ):
        line = redactor.encode(records(event)[0]).decode()
        assert FOUND not in line
        assert "S3cret!pw" not in line
        assert "[secret:github-token:" in line
        assert decode(line.encode()).event.type == event.type
    changed = through(redactor, started("c", "t", arguments)).arguments
    assert changed["deep"][0]["password"].startswith("[secret:password:")
    assert redactor.value(changed) == changed


def test_what_was_found_once_is_replaced_where_its_form_tells_nothing():
    redactor = finding()
    mark = redactor.text("password: S3cret!pw").removeprefix("password: ")
    assert redactor.text("and S3cret!pw again") == f"and {mark} again"
    assert redactor.text("also {S3cret!pw}") == f"also {{{mark}}}"


def test_what_others_want_back_as_it_was_is_not_looked_into():
    redactor = finding(KEY="hunter22")
    opaque = {"signature": JWT, "key": "hunter22"}
    event = responded("r", Text(text="hi", opaque=opaque), Text(text=JWT))
    back = through(redactor, event)
    assert back.message.content[0].opaque == {"signature": JWT, "key": "[secret:KEY]"}
    assert back.message.content[1].text.startswith("[secret:jwt:")
    paused = e.ToolPaused(call_id="c", requests=(), state=JWT)
    assert through(redactor, paused).state == JWT
    assert through(redactor, replace(event, response_id=FOUND)).response_id == FOUND


def test_an_artifact_of_text_is_looked_into_and_another_one_is_not():
    redactor = finding(KEY="hunter22")
    assert FOUND.encode() not in redactor.bytes(f"a {FOUND} é".encode())
    raw = b"\xff\x00 hunter22 " + FOUND.encode()
    assert redactor.bytes(raw) == b"\xff\x00 [secret:KEY] " + FOUND.encode()
    plain = "é nothing".encode()
    assert redactor.bytes(plain) is plain


def test_of_a_known_secret_and_a_found_one_at_one_place_one_mark_is_made():
    redactor = finding(DB="S3cret!pw", PART="S3cr")
    assert redactor.text("password: S3cret!pw") == "password: [secret:DB]"
    redactor = finding(PART="S3cr")
    text = redactor.text("password: S3cret!pw.")
    assert text.startswith("password: [secret:password:")
    assert "et!pw" not in text


def test_errors_that_end_the_process_are_without_what_any_redactor_knows():
    kept = Redactor({"A": "only-here-1"}), Redactor({"B": "only-here-2"})
    assert without_any("only-here-1 only-here-2") == "[secret:A] [secret:B]"
    assert len(kept) == 2


def test_a_record_is_made_again_only_once():
    redactor = finding()
    [record] = records(user(f"use {FOUND}"))
    line = redactor.encode(record)
    assert redactor.encode(record) is line
    assert redactor.item(record) is redactor.item(record)
    assert encode(redactor.item(record)) == line


class Seen(list):
    emit = list.append


def shown(redactor, *items):
    seen = Seen()
    [sink] = redacted([seen], redactor)
    for item in items:
        sink.emit(item)
    return seen


def test_what_is_shown_is_what_is_recorded():
    redactor = Redactor({"TOKEN": "hunter2"})
    found = records(
        finished("c", "a hunter2 b"),
        started("c", "t", {"hunter2": [{"x": "hunter2"}], "plain": 1}),
        e.ToolsChanged(server="s", added=("hunter2",)),
    )
    for record, seen in zip(found, shown(redactor, *found), strict=True):
        assert encode(seen) == redactor.encode(record)
        assert "hunter2" not in repr(seen)
    [log] = shown(redactor, e.ServerLog(server="s", level="error", text="is hunter2"))
    assert log.text == "is [secret:TOKEN]"


def test_what_holds_no_secret_is_shown_as_it_is():
    redactor = Redactor({"TOKEN": "hunter2"})
    items = [*PLAIN, e.ServerLog(server="s", level="error", text="oh")]
    assert all(a is b for a, b in zip(items, shown(redactor, *items), strict=True))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet="abab ", max_size=4), max_size=8))
def test_a_secret_that_is_streamed_in_pieces_is_never_shown(pieces):
    redactor = Redactor({"S": "abaab"})
    items = [e.TextDelta(text=piece) for piece in pieces]
    seen = shown(redactor, *items, records(user("end"))[0])
    text = "".join(item.text for item in seen[:-1])
    assert text == "".join(pieces).replace("abaab", "[secret:S]")


def test_pieces_of_two_streams_are_not_taken_for_one():
    redactor = Redactor({"S": "hunter2"})
    seen = shown(
        redactor,
        e.ReasoningDelta(text="hun"),
        e.TextDelta(text="ter2"),
        e.ToolArgumentsDelta(index=0, name="n", text="hun"),
        e.ToolArgumentsDelta(index=1, name="n", text="ter2"),
        records(user("end"))[0],
    )
    assert [item.text for item in seen[:-1]] == ["hun", "ter2", "hun", "ter2"]
