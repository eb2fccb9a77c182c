"""The scorecard of a model: what each check finds, of providers that do well and of others."""

import asyncio
import json
import struct
import zlib
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest

from agent_host.core import size
from agent_host.models import anthropic, openai_chat, openai_responses
from agent_host.models.scorecard import CHECKS, chosen, examine
from agent_host.models.scorecard_abilities import ODD, png
from agent_host.models.scorecard_endpoint import long_prompt
from agent_host.models.scorecard_subject import Examination, Subject, user
from agent_host.models.settings import AdapterSettings
from agent_host.profiles.table import built_in
from tests.fakes.capable import CAPABLE, KEY, MODEL, CapableChat, CapableMessages
from tests.fakes.chat_server import DONE, HELLO, finish, refusal, stream, text, usage

FIRST = {"model": MODEL, "messages": [{"role": "user", "content": "Count from"}]}
MAKERS = {"openai-chat": openai_chat, "openai-responses": openai_responses, "anthropic": anthropic}


def problem(schema, said):
    try:
        value = json.loads(said)
    except ValueError as error:
        return f"no JSON: {error}"
    return "" if jsonschema_rs.is_valid(schema, value) else "not valid"


def settings(server, **more):
    keys: dict[str, Any] = {
        "provider": "fake",
        "model": MODEL,
        "base_url": server.url,
        "api_key": KEY,
    }
    return AdapterSettings(**keys | more)


def card(server, *names, seconds=10, profile=None, **more):
    """The findings about a server's model, by check, and what was examined."""
    module = MAKERS[server.adapter]
    own = settings(server, profile=profile, **more)

    @asynccontextmanager
    async def twin(changed):
        adapter = module.create(changed)
        try:
            yield adapter
        finally:
            await adapter.aclose()

    async def run():
        adapter = module.create(own)
        exam = Examination(
            subject=Subject(
                adapter=adapter,
                profile=adapter.profile,
                effort=own.effort,
                credential="the key",
                wrong_key=lambda: twin(replace(own, api_key="wrong-key")),
                unknown_model=lambda: twin(replace(own, model="nobody")),
                problem=problem,
            )
        )
        checks = chosen(names, effort=bool(own.effort))
        begun = []
        try:
            found = [
                finding
                async for finding in examine(exam, checks, seconds=seconds, begins=begun.append)
            ]
        finally:
            await adapter.aclose()
        assert [c.name for c in begun] == [f.check for f in found]
        return {f.check: f for f in found}, exam

    return asyncio.run(asyncio.wait_for(run(), 60))


def flawed(flaw, *names, **more):
    with CapableChat(flaw=flaw) as server:
        found, _ = card(server, *names, **more)
    return found


@pytest.mark.parametrize("server_of", CAPABLE, ids=lambda one: one.adapter)
def test_a_model_that_does_all_has_nothing_but_ok_on_each_wire(server_of):
    profile = replace(
        built_in().of("", MODEL, server_of.adapter), structured="json_schema", images=True
    )
    with server_of() as server:
        found, exam = card(server, profile=profile)
        assert server.refused == [one for one in server.refused if one.startswith(("401", "404"))]
    assert {name: f.state for name, f in found.items()} == {
        check.name: "note" if check.name == "reasoning" else "ok" for check in CHECKS
    }, found
    assert found["reach"].detail == "connected, the key accepted"
    assert found["stop_reason"].detail.startswith("end_turn of a whole answer, max_tokens")
    assert "recalls what stood at the start" in found["usage"].detail
    assert "2 of its own calls, an error among them" in found["results"].detail
    assert "refused the key (HTTP 401)" in found["bad_key"].detail
    assert "does not know the model 'nobody'" in found["unknown_model"].detail
    assert exam.used[0].usage is not None
    # What was not waited for is not counted, and not forgotten either.
    assert sum(one.usage is None for one in exam.used) == 1


@pytest.mark.parametrize(
    ("flaw", "check", "state", "says"),
    [
        ("cut prompt", "usage", "failed", "counts 2,048 of about"),
        ("cut prompt", "usage", "failed", "was cut without a word"),
        ("forgets", "usage", "note", 'not recalled: "What word?"'),
        ("wild count", "usage", "failed", "though it read them all"),
        ("no usage", "usage", "failed", "counts no tokens at all"),
        ("ignores tools", "one_call", "failed", "no call, with tool_choice required"),
        ("ignores tools", "results", "ok", "2 of another model's calls"),
        ("no tools", "one_call", "not taken", "does not support tools"),
        ("no tools", "results", "not taken", "does not support tools"),
        ("no tools", "long_tool_schema", "not taken", "does not support tools"),
        ("merges calls", "one_call", "ok", "called it with the right arguments"),
        ("merges calls", "two_calls", "failed", "a call cannot be run (malformed call)"),
        ("one at a time", "two_calls", "note", "one at a time"),
        ("one at a time", "results", "ok", "1 of its own calls"),
        ("jumbles arguments", "one_call", "failed", 'with {"order_id": "A4410"}'),
        ("no end", "stop_reason", "failed", "ended the stream in the middle"),
        ("odd reason", "stop_reason", "failed", "ends without a stop reason"),
        ("ignores limit", "stop_reason", "note", "the limit of 16 tokens is ignored"),
        ("no images", "image", "not taken", "does not support image input"),
        ("blind", "image", "not taken", "the model says that it cannot"),
        ("no schema", "schema", "failed", "Unknown parameter"),
        ("prose for JSON", "schema", "failed", "asked by its schema: no JSON"),
        ("whole", "stream", "failed", "nothing shows until then"),
        ("unlocked", "bad_key", "note", "takes any key"),
        ("unlocked model", "unknown_model", "note", "answers whatever model is named"),
    ],
)
def test_what_a_server_does_badly_is_found_and_stops_no_other_check(flaw, check, state, says):
    profile = replace(built_in().of("", MODEL, "openai-chat"), structured="json_schema")
    before = ["two_calls"] if check == "results" else []
    found = flawed(flaw, check, *before, "unknown_model", profile=profile)
    assert (found[check].state, says in found[check].detail) == (state, True), found[check]
    assert found["reach"].state == "ok"
    assert found["unknown_model"].state != "failed"
    assert KEY not in str(found)


def said(words, reason="stop"):
    return stream(text(words), finish(reason), usage(), DONE)


def no(status, message):
    return refusal(status, {"error": {"message": message}})


EMPTY = stream(finish(), usage(), DONE)


@pytest.mark.parametrize(
    ("check", "plays", "state", "says"),
    [
        ("text", [EMPTY], "failed", "the answer is empty (stop reason end_turn)"),
        ("stream", [said("Hello")], "note", "one piece, but it is short (5 characters)"),
        ("usage", [HELLO, no(400, "no such thing")], "failed", "no such thing"),
        ("stop_reason", [HELLO, no(400, "too few tokens")], "failed", "too few tokens"),
        ("stop_reason", [HELLO, said("a", "whim")], "failed", "is cut off ends without"),
        ("stop_reason", [HELLO, said("a")], "note", "at most ended with end_turn"),
        ("two_calls", [HELLO, no(500, "down")], "failed", "down"),
        ("results", [HELLO, EMPTY], "failed", "taken, but the answer is empty"),
        ("image", [HELLO, HELLO], "failed", 'taken, but not seen: "Hello, world"'),
        ("long_tool_schema", [HELLO, no(400, "bad schema: anyOf")], "failed", "bad schema"),
        ("cancellation", [HELLO, no(500, "down")], "failed", "down"),
        ("cancellation", [HELLO, EMPTY, HELLO], "note", "there was nothing to close"),
        ("cancellation", [HELLO, HELLO, no(500, "down")], "failed", "the next request fails: "),
        ("bad_key", [HELLO, no(400, "API key not valid")], "note", "as bad_request: "),
        ("bad_key", [HELLO, no(500, "down")], "failed", "unavailable instead of auth"),
        ("unknown_model", [HELLO, no(500, "down")], "failed", "unavailable instead of not_found"),
        ("unknown_model", [HELLO, no(400, "which model?")], "ok", "refused as bad_request: "),
    ],
)
def test_what_an_answer_means_to_a_check(check, plays, state, says):
    with CapableChat() as server:
        server.lenient = True
        server.plays = plays
        found, _ = card(server, check)
    assert (found[check].state, says in found[check].detail) == (state, True), found[check]


def test_the_model_that_really_answers_is_named():
    with CapableChat(flaw="unlocked model") as server:
        found, _ = card(server, "reach", model="latest")
    assert found["reach"].detail == "connected, the key accepted; fake-1 answers"


def test_one_of_the_results_is_an_error():
    with CapableChat() as server:
        card(server, "two_calls", "results")
        ok, wrong = (one["content"] for one in server.received[-1].body["messages"][-2:])
    assert ok == "The order was shipped on 12 March."
    assert wrong == "Error (tool_error): There is no such order."


def test_without_required_a_call_is_asked_for_in_words():
    profile = replace(built_in().of("", MODEL, "openai-chat"), tool_choice=())
    with CapableChat() as server:
        found, _ = card(server, "one_call", profile=profile)
        assert "tool_choice" not in server.received[-1].body
    assert found["one_call"].detail == "called it with the right arguments, asked in words"


def test_images_that_a_profile_rules_out_are_not_sent():
    profile = replace(built_in().of("", MODEL, "openai-chat"), images=False)
    with CapableChat() as server:
        found, _ = card(server, "image", profile=profile)
        assert len(server.received) == 1
    assert found["image"].state == "not taken"


@pytest.mark.parametrize(
    ("play", "says"),
    [
        (refusal(401, {"error": {"message": "no such key"}}), "refused the key"),
        (refusal(404, {"error": {"message": "no such model"}}), "does not know the model"),
        (refusal(500, {"error": {"message": "down"}}), "failed (HTTP 500): down"),
        (
            stream(b"<html><title>Sign in</title></html>", headers={"content-type": "text/html"}),
            "a web page (Sign in)",
        ),
        (stream(end="drop"), "cannot connect"),
        (stream(end="hang"), "no whole answer within 0.5 s"),
    ],
)
def test_what_cannot_be_reached_is_not_asked_anything_else(play, says):
    with CapableChat(play) as server:
        found, exam = card(server, seconds=0.5)
    assert list(found) == ["reach"]
    assert found["reach"].state == "failed"
    assert says in found["reach"].detail
    assert len(exam.used) == (1 if play.end == "hang" else 0)


def test_nobody_there_is_not_reached():
    with CapableChat() as server:
        pass
    found, exam = card(server)
    assert found["reach"].state == "failed"
    assert "is it running?" in found["reach"].detail
    assert exam.used == []


def test_a_stream_that_ends_early_fails_its_check_and_no_other():
    early = stream(text("One, t"), end="cut")
    with CapableChat() as server:
        server.plays = [early, stream(text("x" * 100))]
        found, _ = card(server, "text", "stream", "stop_reason")
    assert found["reach"].state == "ok"
    assert found["text"].state == found["stream"].state == "failed"
    assert "broke off in the middle of the answer" in found["text"].detail
    assert found["stop_reason"].state == "failed"


def test_a_busy_provider_is_asked_again_as_it_says():
    busy = refusal(429, {"error": {"message": "slow down"}}, retry_after="0")
    with CapableChat() as server:
        server.plays = [busy, server.default(FIRST)]
        found, exam = card(server, "text")
        assert len(server.received) == 2
    assert found["reach"].state == "ok"
    assert found["reach"].detail.endswith("accepted; asked again once")
    assert len(exam.used) == 1


def test_a_kept_connection_that_the_server_gave_up_costs_no_check():
    with CapableChat() as server:
        server.plays = [server.default(FIRST), stream(end="drop"), said("a", "length")]
        found, _ = card(server, "stop_reason")
        assert len(server.received) == 3
    assert found["stop_reason"].state == "ok", found


def test_what_was_cut_in_the_middle_is_not_asked_again():
    with CapableChat(stream(text("One, t"), end="cut")) as server:
        found, _ = card(server, "text")
        assert len(server.received) == 1
    assert "again" not in found["reach"].detail


def test_a_wait_longer_than_the_time_of_a_check_is_not_waited_for():
    busy = refusal(429, {"error": {"message": "slow down"}}, retry_after="3600")
    with CapableChat(busy) as server:
        found, _ = card(server)
        assert len(server.received) == 1
    assert "limits the rate of requests" in found["reach"].detail


def test_an_answer_that_began_in_time_was_reached_though_it_does_not_end():
    with CapableChat(stream(text("One"), end="hang")) as server:
        found, _ = card(server, "text", "stream", "stop_reason", seconds=0.3)
    assert {name: f.state for name, f in found.items()} == {
        "reach": "ok",
        "text": "failed",
        "stream": "failed",
        "stop_reason": "failed",
    }
    assert found["text"].detail == "no whole answer within 0.3 s; --timeout allows for more"


def test_a_check_that_hangs_is_over_when_its_time_is():
    with CapableChat() as server:
        server.plays = [server.default(FIRST), stream(text("x"), end="hang")]
        found, exam = card(server, "usage", "stop_reason", seconds=0.3)
        assert server.left.wait(10)
    assert found["usage"].detail == "no whole answer within 0.3 s; --timeout allows for more"
    assert found["stop_reason"].state == "failed"
    assert found["usage"].seconds < 5
    assert [one.usage is None for one in exam.used] == [False, True, True]


def test_thoughts_are_looked_for_where_an_effort_is_set():
    with CapableMessages() as server:
        found, _ = card(server, "reasoning", effort="low")
        assert server.received[-1].body["output_config"] == {"effort": "low"}
    assert (found["reasoning"].state, found["reasoning"].detail) == (
        "ok",
        "seen with the effort low",
    )
    with CapableChat() as server:
        found, _ = card(server, "reasoning", effort="low")
    assert found["reasoning"].state == "note"
    assert "none was seen with the effort low" in found["reasoning"].detail
    assert "no `effort` is set" in flawed("", "reasoning")["reasoning"].detail


def test_a_window_that_is_too_small_is_no_fault_if_it_is_said():
    small = refusal(400, {"error": {"message": "exceeds the context length of 2048 tokens"}})
    with CapableChat() as server:
        server.plays = [server.default(FIRST), small]
        found, _ = card(server, "usage")
    assert found["usage"].state == "note"
    assert "and says so" in found["usage"].detail


def test_what_a_model_says_is_shown_on_one_line_without_control_characters():
    with CapableChat() as server:
        end = server.default(FIRST).body[-3:]
        server.plays = [stream(text("a\x1b[31m\nb\u202e" * 100), *end)]
        found, _ = card(server, "text")
    assert found["text"].detail.isprintable()
    assert len(found["text"].detail) < 200


def test_an_adapter_that_raises_is_a_finding():
    class Broken:
        simulated = False

        def __init__(self, adapter):
            self.adapter, self.origin = adapter, adapter.origin

        def withheld(self, tools):
            return {}

        async def stream(self, request):
            if request.tools:
                raise RuntimeError("so\x1bmething\nis wrong")
            async for item in self.adapter.stream(request):
                yield item

    async def run():
        adapter = openai_chat.create(settings(server))
        exam = Examination(
            subject=Subject(
                adapter=Broken(adapter),
                profile=adapter.profile,
                effort=None,
                credential="",
                wrong_key=None,
                unknown_model=None,
                problem=problem,
            )
        )
        checks = chosen(["one_call", "stop_reason", "bad_key"], effort=False)
        found = [f async for f in examine(exam, checks, seconds=10, begins=lambda _: None)]
        await adapter.aclose()
        return {f.check: f for f in found}

    with CapableChat() as server:
        found = asyncio.run(run())
    assert found["reach"].detail == "connected; no key is set"
    assert found["one_call"].detail == "the adapter raised RuntimeError: so\\u{1b}mething is wrong"
    assert found["stop_reason"].state == "ok"
    assert found["bad_key"].state == "not taken"


def test_the_odd_schema_is_one_and_a_tool_that_is_withheld_is_not_sent():
    jsonschema_rs.meta.validate(ODD.input_schema)
    assert "anyOf" in ODD.input_schema
    profile = replace(built_in().of("", MODEL, "openai-chat"), max_schema_size=100)
    with CapableChat() as server:
        found, _ = card(server, "long_tool_schema", profile=profile)
        assert len(server.received) == 1
    assert found["long_tool_schema"].state == "not taken"
    assert "it is not offered: " in found["long_tool_schema"].detail


def test_the_long_prompt_is_more_than_the_windows_that_are_cut_in_silence():
    about = size.tokens(size.characters(user(long_prompt())))
    assert 4096 * 1.3 < about < 8192
    lines = long_prompt().splitlines()
    assert len(set(lines)) == len(lines)


def test_the_picture_is_a_png_of_one_colour():
    data = png(3, (1, 2, 3))
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    kinds, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(
            kind + body
        )
        kinds[kind], at = body, at + 12 + length
    assert kinds[b"IHDR"] == struct.pack(">IIBBBBB", 3, 3, 8, 2, 0, 0, 0)
    assert zlib.decompress(kinds[b"IDAT"]) == (b"\0" + bytes([1, 2, 3]) * 3) * 3
    assert list(kinds)[-1] == b"IEND"


def test_the_estimate_is_about_what_is_used():
    with CapableChat() as server:
        _, exam = card(server)
    used = sum(one.usage.input_tokens for one in exam.used if one.usage)
    estimated = sum(check.tokens_in for check in chosen((), effort=False))
    assert estimated / 2 < used < estimated * 1.5
