"""What a model may be able to do: call tools, see, think, answer in JSON.

Theory of operation: a tool is asked for with `tool_choice = "required"` where the profile says that
it may be, else in words alone. The history with results is that of the calls that were really made,
else one that another model might have left: both have to be taken.
"""

import base64
import json
import re
import struct
import zlib
from collections.abc import Sequence

from agent_host.core.text import clean_line
from agent_host.core.types import (
    Image,
    JsonObject,
    Message,
    ModelFailure,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from agent_host.models.scorecard_subject import (
    Answer,
    Examination,
    Verdict,
    failed,
    not_taken,
    note,
    ok,
    quoted,
    refused,
    user,
)

_NO_TOOLS = re.compile(
    r"support tool use"
    r"|tool(s| use| calling| choice)?.{0,30}(not|un)\W?(supported|available|allowed)"
    r"|(not|n't) support.{0,20}(tool|function)|--jinja|tool-call-parser",
    re.IGNORECASE,
)
_NO_IMAGES = re.compile(
    r"(not|n't|no|un)\W?.{0,40}(support|accept|allow).{0,80}(image|vision|modalit)"
    r"|(image|vision|multimodal|modalit|mmproj).{0,80}(not|n't|un)\W?.{0,20}(support|accept|allow)"
    r"|support image input|unknown variant .?image|must be a string|invalid content type",
    re.IGNORECASE,
)
_BLIND = re.compile(
    r"(can ?no|can'|unable|not able|don't|do not|no) ?.{0,40}(see|view|image|picture|display)",
    re.IGNORECASE,
)

ORDER = Tool(
    name="orders__get_order",
    server="orders",
    tool="get_order",
    description="Look up one order by its id, and return its status.",
    input_schema={
        "type": "object",
        "properties": {"order_id": {"type": "string", "description": "As A-4410."}},
        "required": ["order_id"],
        "additionalProperties": False,
    },
)
ODD = Tool(
    name="orders__file_report",
    server="orders",
    tool="file_report",
    description="File a report about an order. " + "Used by the people of the order desk. " * 30,
    input_schema={
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {
            "amount": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.01},
            "part": {
                "type": "object",
                "properties": {
                    "name": {"type": ["string", "null"], "maxLength": 80},
                    "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}},
                },
            },
        },
        "properties": {
            "order/id €": {"type": "string", "pattern": "^[A-Z]-[0-9]+$"},
            "refund": {"$ref": "#/$defs/amount", "description": "US dollars.", "default": 0.5},
            "whole": {"$ref": "#/$defs/part"},
            "tags": {"type": "array", "uniqueItems": True},
            "at": {"type": "string", "format": "date-time"},
            "kind": {"const": "report"},
            **{
                f"field_{number}": {"type": "string", "description": f"Field {number} of the form."}
                for number in range(24)
            },
        },
        "anyOf": [{"required": ["order/id €"]}, {"required": ["refund"]}],
        "patternProperties": {"^x-": {"type": "string"}},
    },
)
ANSWER_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "country": {"type": "string"},
        "inhabitants": {"type": "integer"},
    },
    "required": ["city", "country", "inhabitants"],
    "additionalProperties": False,
}

_ONE = ("A-4410",)
_TWO = ("A-4410", "B-5521")
_COLOUR, _RGB = "orange", (255, 128, 0)
_SIDE = 96
"""Pixels: some models want more than a few."""


# -- tools --------------------------------------------------------------------------------------


async def one_call(exam: Examination) -> Verdict:
    """Whether the model calls a tool with the right arguments."""
    asked = user(f"What is the status of order {_ONE[0]}? Call {ORDER.name} to find out.")
    answer = await _called(exam, asked)
    if isinstance(answer.item, ModelFailure):
        return refused(answer.item, _NO_TOOLS)
    wrong = _wrong(answer, _ONE, how=_how(exam))
    if wrong:
        return failed(wrong)
    if len(answer.calls) > 1:
        return note(f"called it {len(answer.calls)} times, {_how(exam)}")
    return ok(f"called it with the right arguments, {_how(exam)}")


async def two_calls(exam: Examination) -> Verdict:
    """Whether one answer holds two calls."""
    asked = user(
        f"What is the status of order {_TWO[0]} and of order {_TWO[1]}? Call {ORDER.name} for "
        "each of the two, both at once, in parallel."
    )
    answer = await _called(exam, asked)
    if isinstance(answer.item, ModelFailure):
        return refused(answer.item, _NO_TOOLS)
    if len(answer.calls) == 1 and not _wrong(answer, _TWO[:1], how=""):
        return note("one at a time: the answer holds one of the two calls")
    wrong = _wrong(answer, _TWO, how=_how(exam))
    return failed(wrong) if wrong else ok("both in one answer, each with the right arguments")


async def _called(exam: Examination, asked: Message) -> Answer:
    choice = "required" if "required" in exam.subject.profile.tool_choice else "auto"
    answer = await exam.ask(asked, tools=(ORDER,), tool_choice=choice)
    if answer.calls and not any(call.fault for call in answer.calls):
        exam.called = (asked, answer)
    return answer


def _how(exam: Examination) -> str:
    may = "required" in exam.subject.profile.tool_choice
    return "with tool_choice required" if may else "asked in words"


def _wrong(answer: Answer, orders: Sequence[str], *, how: str) -> str:
    """What is wrong with the calls; empty: each order is looked up, and nothing else is done."""
    if not answer.calls:
        return f"no call, {how}: it said {quoted(answer.text)}"
    for call in answer.calls:
        if call.fault:
            what = call.fault.replace("_", " ")
            return f"a call cannot be run ({what}): {quoted(call.raw or call.name)}"
    wanted = [{"order_id": order} for order in orders]
    for call in answer.calls:
        if call.name != ORDER.name or call.arguments not in wanted:
            called = f"called {clean_line(call.name, 40)} with {_shown(call.arguments)}"
            return f"{called} instead of {_shown(wanted[0])}"
    missing = [one for one in wanted if one not in [call.arguments for call in answer.calls]]
    return f"no call with {_shown(missing[0])}" if missing else ""


def _shown(arguments: JsonObject) -> str:
    return clean_line(json.dumps(arguments, ensure_ascii=False), 80)


async def results(exam: Examination) -> Verdict:
    """Whether the results of calls, an error among them, are taken and answered."""
    if exam.called is not None:
        asked, answer = exam.called
        assert not isinstance(answer.item, ModelFailure)  # it holds calls
        said, whose = answer.item.message, "its own"
    else:
        asked = user(f"What is the status of order {_TWO[0]} and of order {_TWO[1]}?")
        said, whose = _others(), "another model's"
    calls = [block for block in said.content if isinstance(block, ToolCall)]
    told = Message(
        role="tool",
        content=(
            *(_result(call, "The order was shipped on 12 March.") for call in calls[:-1]),
            _result(calls[-1], "There is no such order.", wrong=True),
        ),
    )
    item = await exam.ask(asked, said, told, tools=(ORDER,))
    if isinstance(item.item, ModelFailure):
        return refused(item.item, _NO_TOOLS)
    what = f"{len(calls)} of {whose} calls, an error among them"
    if item.calls:
        return note(f"{what}: taken; it goes on with another call")
    if not item.text.strip():
        return failed(f"{what}: taken, but the answer is empty")
    return ok(f"{what}: {quoted(item.text)}")


def _others() -> Message:
    """Two calls as another model might have made them."""
    calls = (
        ToolCall(id=f"call_{place}", name=ORDER.name, arguments={"order_id": order})
        for place, order in enumerate(_TWO)
    )
    return Message(role="assistant", content=tuple(calls))


def _result(call: ToolCall, text: str, *, wrong: bool = False) -> ToolResult:
    content = (Text(text=text),)
    return ToolResult(call_id=call.id, content=content, error="tool_error" if wrong else None)


async def long_tool_schema(exam: Examination) -> Verdict:
    """Whether a tool with a schema that providers refuse as it is can be offered."""
    withheld = exam.subject.adapter.withheld((ODD,))
    if ODD.name in withheld:
        return not_taken(f"it is not offered: {withheld[ODD.name]}")
    item = (await exam.ask(user("Say hello. Call no tool."), tools=(ODD,))).item
    if isinstance(item, ModelFailure):
        return refused(item, _NO_TOOLS)
    size = len(json.dumps(ODD.input_schema))
    return ok(f"taken: {size:,} characters with $ref, anyOf at the root, an odd key")


# -- what else ----------------------------------------------------------------------------------


async def image(exam: Examination) -> Verdict:
    """Whether a picture is taken, and seen."""
    if not exam.subject.profile.images:
        return not_taken("its profile says that it takes no images; none was sent")
    picture = Image(data=base64.b64encode(png(_SIDE, _RGB)).decode(), media_type="image/png")
    asked = user("Which colour is this picture? Answer with the colour alone.", picture)
    answer = await exam.ask(asked)
    if isinstance(answer.item, ModelFailure):
        return refused(answer.item, _NO_IMAGES)
    if _COLOUR in answer.text.lower():
        return ok(f"seen: {quoted(answer.text)} for a picture that is {_COLOUR}")
    if _BLIND.search(answer.text):
        return not_taken(f"the model says that it cannot: {quoted(answer.text)}")
    return failed(f"taken, but not seen: {quoted(answer.text)} for one that is {_COLOUR}")


def png(side: int, rgb: tuple[int, int, int]) -> bytes:
    """Return a square picture of one colour (PNG, third edition, sections 5 and 11)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = (b"\0" + bytes(rgb) * side) * side
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", head),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


async def reasoning(exam: Examination) -> Verdict:
    """Whether what the model thinks is seen, where it was told how much to think."""
    effort = exam.subject.effort
    if not effort:
        seen = "; some was seen all the same" if exam.reasoned else ""
        return note(f"not asked for: no `effort` is set for this model{seen}")
    asked = user(
        "A bat and a ball cost 1.10 dollars together, and the bat costs 1 dollar more than the "
        "ball. What does the ball cost? Think first; answer with the number alone."
    )
    answer = await exam.ask(asked)
    if isinstance(answer.item, ModelFailure):
        return refused(answer.item)
    word = clean_line(effort, 30)
    if answer.reasoned:
        return ok(f"seen with the effort {word}")
    return note(f"none was seen with the effort {word}; some providers keep it to themselves")


async def schema(exam: Examination) -> Verdict:
    """Whether an answer in JSON is valid under its schema."""
    how = {
        "json_schema": "asked by its schema",
        "json_object": "asked for any JSON, the schema in words",
        "prompt": "asked in words",
    }[exam.subject.profile.structured]
    asked = user("Name one large city, its country, and about how many people live there.")
    answer = await exam.ask(asked, output_schema=ANSWER_SCHEMA)
    if isinstance(answer.item, ModelFailure):
        return refused(answer.item)
    problem = exam.subject.problem(ANSWER_SCHEMA, answer.text)
    if problem:
        return failed(f"{how}: {problem}: {quoted(answer.text)}")
    return ok(f"valid, {how}: {quoted(answer.text)}")
