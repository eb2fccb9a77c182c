"""The script model: turns, expectations, failures, and what is wrong with a file."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.errors import ConfigError, ExitStatus
from agent_host.core.events import ReasoningDelta, TextDelta, ToolArgumentsDelta
from agent_host.core.types import (
    Message,
    ModelFailure,
    ModelRequest,
    ModelResponse,
    Origin,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from agent_host.models.script import create
from agent_host.models.settings import AdapterSettings


@pytest.fixture
def write(tmp_path):
    """Write a script and make its model."""

    def model(text):
        path = tmp_path / "script.toml"
        path.write_text(text)
        return create(AdapterSettings(provider="demo", model="", path=path))

    return model


def user(text):
    return Message(role="user", content=(Text(text=text),))


def results(*outcomes):
    """A tool message: (call id, text, error) each."""
    return Message(
        role="tool",
        content=tuple(
            ToolResult(call_id=call_id, content=(Text(text=text),), error=error)
            for call_id, text, error in outcomes
        ),
    )


def ask(model, *messages, tools=()):
    request = ModelRequest(request_id="r", system="", messages=messages, tools=tools)

    async def collect():
        return [item async for item in model.stream(request)]

    *deltas, last = asyncio.run(collect())
    assert isinstance(last, ModelResponse | ModelFailure)
    assert not any(isinstance(item, ModelResponse | ModelFailure) for item in deltas)
    return deltas, last


TWO_TURNS = """
[[turn]]
expect = "12345"
say = "I look it up."
call = { name = "orders__get_order", arguments = { order_id = "12345" } }

[[turn]]
expect = { call = "orders__get_order", json = { status = "shipped" } }
say = "It was shipped."
"""


def test_turns_follow_the_conversation_and_not_the_process(write):
    first, second = write(TWO_TURNS), write(TWO_TURNS)
    asked = user("Where is order 12345?")
    _, answer = ask(first, asked)
    assert answer.stop_reason == "tool_use"
    assert answer.message.content == (
        Text(text="I look it up."),
        ToolCall(id="call_1", name="orders__get_order", arguments={"order_id": "12345"}),
    )
    told = results(("call_1", '{"status": "shipped", "carrier": "DHL"}', None))
    _, end = ask(second, asked, answer.message, told)
    assert (end.stop_reason, end.message.content) == ("end_turn", (Text(text="It was shipped."),))
    assert ask(first, asked)[1] == answer


def test_answers_of_another_model_do_not_use_up_turns(write):
    other = Message(
        role="assistant",
        content=(Text(text="x"),),
        origin=Origin(provider="p", model="m", adapter="openai-chat"),
    )
    _, answer = ask(write(TWO_TURNS), user("hello"), other, user("order 12345"))
    assert answer.message.content[0].text == "I look it up."


def test_it_says_that_it_is_no_ai_and_where_it_comes_from(write):
    model = write(TWO_TURNS)
    assert model.simulated is True
    assert model.origin == Origin(provider="demo", model="script", adapter="script")


def test_a_script_that_has_run_out_says_so(write):
    model = write('[[turn]]\nsay = "once"\n')
    _, answer = ask(model, user("a"))
    _, failure = ask(model, user("a"), answer.message, user("b"))
    assert failure.kind == "script"
    assert not failure.retryable
    assert "script.toml: the script has 1 turns and turn 2 is asked for" in failure.message


@pytest.mark.parametrize(
    ("expect", "text"),
    [
        ('"apples"', "expected 'apples' in the message; what came: pears and order 12345"),
        ('["pears", "apples"]', "expected 'apples'"),
        ('{ contains = ["pears", "plums"] }', "expected 'plums'"),
        ("{ matches = '^\\d+$' }", "expected a match of"),
        ("{ json = { a = 1 } }", 'expected JSON with {"a": 1}; what came: pears'),
        ("{ call = 'x', contains = 'a' }", "expected a result of call x; what came: nothing"),
        ("{ error = true }", "not exactly one result"),
        ("{ tools = ['x__y'] }", "expected the tool x__y; what came: s__t"),
    ],
)
def test_an_expectation_that_fails_says_where_what_was_expected_and_what_came(write, expect, text):
    model = write(f'# head\n\n[[turn]]\nexpect = {expect}\nsay = "x"\n')
    tool = Tool(name="s__t", server="s", tool="t", description="", input_schema={})
    deltas, failure = ask(model, user("pears and order 12345"), tools=(tool,))
    assert (deltas, failure.kind) == ([], "script")
    assert "script.toml:3: turn 1 " in failure.message
    assert text in failure.message


@pytest.mark.parametrize(
    "expect",
    [
        '"pears"',
        "{ matches = '^pears.*\\d+$' }",
        '{ user = true, contains = "order" }',
        "{ tools = ['s__t'], contains = [] }",
    ],
)
def test_an_expectation_that_holds_is_not_seen(write, expect):
    tool = Tool(name="s__t", server="s", tool="t", description="", input_schema={})
    _, answer = ask(
        write(f'[[turn]]\nexpect = {expect}\nsay = "x"\n'),
        user("pears and order 12345"),
        tools=(tool,),
    )
    assert isinstance(answer, ModelResponse)


@pytest.mark.parametrize(
    ("expect", "holds"),
    [
        ("{ call = 's__a', json = { n = 1 } }", True),
        ("{ call = 's__a', json = { n = true } }", False),
        ("{ call = 's__a', json = { list = [{ k = 'v' }] } }", True),
        ("{ call = 's__a', json = { list = [] } }", False),
        ("{ call = 's__a', error = false }", True),
        ("{ call = 's__a', error = true }", False),
        ("{ call = 2, error = 'denied', contains = 'not allowed' }", True),
        ("{ call = 2, error = 'timeout' }", False),
        ("{ call = 2, error = true }", True),
        ("{ call = 2, error = false }", False),
        ("{ call = 3, contains = 'x' }", False),
        ("{ call = 0, contains = 'x' }", False),
        ("{ call = -1, contains = 'not' }", False),
        ("{ user = true, contains = 'go' }", True),
        ("{ contains = ['list', 'not allowed'] }", True),
    ],
)
def test_each_result_can_be_looked_at(write, expect, holds):
    model = write(f'[[turn]]\ncall = ["s__a", "s__b"]\n[[turn]]\nexpect = {expect}\nsay = "done"\n')
    _, answer = ask(model, user("go"))
    assert [call.name for call in answer.message.content] == ["s__a", "s__b"]
    told = results(
        ("call_1", '{"n": 1, "list": [{"k": "v", "w": 2}]}', None),
        ("call_2", "not allowed", "denied"),
    )
    _, last = ask(model, user("go"), answer.message, told)
    assert isinstance(last, ModelResponse if holds else ModelFailure)


def test_text_reasoning_calls_and_usage_are_streamed_in_pieces_of_the_size_asked(write):
    deltas, answer = ask(
        write("""
[[turn]]
reasoning = "hmm"
say = "abcde"
chunk = 2
usage = { input_tokens = 7, output_tokens = 3 }
stop_reason = "stop_sequence"
call = { name = "t", arguments = { a = [1, 2.5, "x"] }, id = "mine" }
"""),
        user("go"),
    )
    assert [d.text for d in deltas if isinstance(d, TextDelta)] == ["ab", "cd", "e"]
    assert [d.text for d in deltas if isinstance(d, ReasoningDelta)] == ["hm", "m"]
    arguments = [d.text for d in deltas if isinstance(d, ToolArgumentsDelta)]
    assert "".join(arguments) == '{"a": [1, 2.5, "x"]}'
    assert answer.message.content == (
        Reasoning(text="hmm"),
        Text(text="abcde"),
        ToolCall(id="mine", name="t", arguments={"a": [1, 2.5, "x"]}),
    )
    assert answer.usage == Usage(input_tokens=7, output_tokens=3)
    assert answer.stop_reason == "stop_sequence"


def test_a_call_that_was_cut_off_is_marked_as_such(write):
    _, answer = ask(
        write("""
[[turn]]
stop_reason = "max_tokens"
[[turn.call]]
name = "t"
raw = '{"amount": 25'
fault = "truncated_call"
"""),
        user("go"),
    )
    (call,) = answer.message.content
    assert (call.fault, call.raw, call.arguments) == ("truncated_call", '{"amount": 25', {})
    assert answer.stop_reason == "max_tokens"


def test_call_ids_are_unique_over_the_conversation(write):
    model = write('[[turn]]\ncall = ["a", "b"]\n[[turn]]\ncall = "c"\n')
    _, answer = ask(model, user("go"))
    told = results(("call_1", "", None), ("call_2", "", None))
    _, second = ask(model, user("go"), answer.message, told)
    assert [call.id for call in (*answer.message.content, *second.message.content)] == [
        "call_1",
        "call_2",
        "call_3",
    ]


def test_an_injected_failure_happens_as_often_as_said_in_each_conversation(write):
    model = write("""
[[turn]]
fail = "rate_limit"
message = "slow down"
retry_after = 0.5
times = 2
after = 3
say = "abcdef"
""")
    one, two = user("go"), user("go")
    for message in (one, two, one, two):
        deltas, failure = ask(model, message)
        assert failure == ModelFailure(
            kind="rate_limit", message="slow down", retryable=True, retry_after=0.5
        )
        assert deltas == [TextDelta(text="abc")]
    assert isinstance(ask(model, one)[1], ModelResponse)
    assert isinstance(ask(model, two)[1], ModelResponse)


def test_a_turn_that_only_fails_always_fails(write):
    model = write('[[turn]]\nfail = "auth"\n')
    for _ in range(3):
        assert ask(model, user("go"))[1] == ModelFailure(
            kind="auth", message="the script says auth"
        )


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "needs turns"),
        ("turn = 5", 1, "needs turns"),
        ("[[turns]]\nsay = 'x'", 1, "did you mean 'turn'"),
        ("[[turn]]\nsay = 'x'\n[[turn]]\nsaay = 'x'", 4, "did you mean 'say'"),
        ("[[turn]]\nsay = 5", 2, "'say' must be text"),
        ("[[turn]]\nexpect = 'x'", 1, "does nothing"),
        ("[[turn]]\nsay = 'x'\n\nfoo = [", 4, "no valid TOML"),
        ("[[turn]]\nsay = 'x'\nsay = 'y'", 3, "no valid TOML"),
        ("[[turn]]\ncall = { nam = 'x' }", 2, "did you mean 'name'"),
        ("[[turn]]\ncall = { arguments = {} }", 2, "needs the name of a tool"),
        ("[[turn]]\ncall = 5", 2, "'call' must be"),
        ("[[turn]]\ncall = { name = 'a', raw = '{' }", 2, "go together"),
        ("[[turn]]\n[turn.call]\nname = 'a'\nfault = 'cut'", 4, "malformed_call"),
        ("[[turn]]\ncall = { name = 'a', arguments = { x = nan } }", 2, "must be JSON"),
        ("[[turn]]\ncall = { name = 'a', arguments = { x = 2020-01-01 } }", 2, "must be JSON"),
        ("[[turn]]\nsay = 'x'\nstop_reason = 'done'", 3, "'stop_reason' must be one of end_turn"),
        ("[[turn]]\nsay = 'x'\nchunk = 0", 3, "at least 1"),
        ("[[turn]]\nsay = 'x'\nchunk = true", 3, "whole number"),
        ("[[turn]]\nfail = 'no'", 2, "rate_limit"),
        ("[[turn]]\nfail = 'timeout'\nretry_after = -1", 3, "must be seconds"),
        ("[[turn]]\nsay = 'x'\ntimes = 2", 3, "belongs to fail"),
        ("[[turn]]\nsay = 'x'\nexpect = 5", 3, "must be text or a table"),
        ("[[turn]]\nsay = 'x'\nexpect = { call = 'a' }", 3, "expect needs contains"),
        ("[[turn]]\nsay = 'x'\nexpect = { matches = '(' }", 3, "no regular expression"),
        ("[[turn]]\nsay = 'x'\nexpect = { error = 'bad' }", 3, "must be one of"),
        ("[[turn]]\nsay = 'x'\nexpect = { contains = [5] }", 3, "text"),
        ("[[turn]]\nsay = 'x'\nusage = { tokens = 5 }", 3, "is no key of usage"),
        ("[[turn]]\nsay = 'x'\nusage = { input_tokens = -5 }", 3, "at least 0"),
        ('[[turn]]\n"\\u001b[2J" = 1', 1, "is no key of a turn"),
    ],
)
def test_a_mistake_in_a_script_names_file_line_and_what_to_do(write, text, line, what):
    with pytest.raises(ConfigError) as caught:
        write(text)
    message = str(caught.value)
    assert f"script.toml:{line}: " in message
    assert what in message
    assert "docs/scripts.md" in message
    assert "\n" not in message
    assert "\x1b" not in message
    assert caught.value.exit_status is ExitStatus.USAGE


def test_a_script_that_is_not_there_not_named_not_text_or_a_folder_is_one_line(tmp_path):
    settings_ = AdapterSettings(provider="demo", model="")
    with pytest.raises(ConfigError, match='needs `path = "FILE"`'):
        create(settings_)
    with pytest.raises(ConfigError, match=r"none\.toml: the script cannot be read: No such file"):
        create(replace(settings_, path=tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match="Is a directory"):
        create(replace(settings_, path=tmp_path))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"[[turn]]\nsay = '\xff'")
    with pytest.raises(ConfigError, match=r"binary\.toml:2: not UTF-8"):
        create(replace(settings_, path=binary))
    binary.write_bytes(b"# " + b"x" * 10_000_001)
    with pytest.raises(ConfigError, match="larger than"):
        create(replace(settings_, path=binary))
    binary.write_text("a = " + "[" * 100_000)
    with pytest.raises(ConfigError, match=r"nested too deeply|no valid TOML"):
        create(replace(settings_, path=binary))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(
        ["name", "arguments", "raw", "fault", "contains", "call", "json"]), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(
    ["say", "call", "expect", "fail", "times", "after", "chunk", "usage", "stop_reason"]),
    VALUES, max_size=4))  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_any_turn_is_either_played_or_a_config_error(tmp_path_factory, turn):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text("[[turn]]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in turn.items()))
    with suppress(ConfigError):
        ask(create(AdapterSettings(provider="p", model="m", path=path)), user("go"))


def toml(value):
    match value:
        case None:
            return "2020-01-01"
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case str():
            return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case _:
            return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
