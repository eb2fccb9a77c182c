"""What servers make of the Responses wire, and what is no answer at all."""

import json
from typing import Any

import pytest

from agent_host.core.types import ModelResponse
from agent_host.models import ordered
from tests.fakes.responses_server import (
    Part,
    answer,
    called,
    created,
    error,
    event,
    item_events,
    items,
    said,
    terminal,
    thought,
)
from tests.models.test_responses_stream import (
    RIGHT,
    UNKNOWN,
    F,
    G,
    calls,
    failed,
    read,
    text_of,
    whole,
)

# -- what servers make of it ----------------------------------------------------------------------


def moved(part: Part, index: int | None, *, ids: str = "same") -> list[bytes]:
    """An item whose events say another index, or none, and their item's id in another way."""
    [item] = items(part)
    made = []
    for place, one in enumerate(item_events(0, item, part)):
        data = json.loads(one.partition(b"data: ")[2])
        data["output_index"] = index
        if ids == "none":
            data.pop("item_id", None)
        elif ids == "new" and "item_id" in data:
            data["item_id"] = f"other_{part.name}_{place}"
        elif ids == "new":
            data["item"]["id"] = f"other_{part.name}_{place}"
        if index is None:
            del data["output_index"]
        made.append(event(data.pop("type"), **data))
    return made


ODD: dict[str, list[bytes]] = {
    "every item at index 0": [*moved(F, 0), *moved(G, 0)],
    "no index": [*moved(F, None), *moved(G, None)],
    "indices from 1": [*moved(F, 1), *moved(G, 2)],
    "another id in each event": [*moved(F, 0, ids="new"), *moved(G, 1, ids="new")],
    "no ids": [*moved(F, 0, ids="none"), *moved(G, 1, ids="none")],
    "items between each other": [
        one for pair in zip(moved(F, 0), moved(G, 1), strict=True) for one in pair
    ],
    "items between each other, all at index 0": [
        one for pair in zip(moved(F, 0), moved(G, 0), strict=True) for one in pair
    ],
    "done twice": [*(two := moved(F, 0)), two[-1], *moved(G, 1), two[-1]],
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
def test_pieces_find_their_item(body: list[bytes]) -> None:
    done = [json.loads(one.partition(b"data: ")[2]) for one in body]
    output = [one["item"] for one in done if one["type"] == "response.output_item.done"][:2]
    for end in (terminal(output), terminal([]), terminal(items(F, G))):
        assert calls(whole(created(), *body, end)) == RIGHT


def test_pieces_of_an_item_that_is_done_are_not_added() -> None:
    made = items(thought("hm"), said("a"), F, stem="5")
    late = [
        event("response.reasoning_summary_text.delta", item_id=made[0]["id"], delta="x"),
        event("response.output_text.delta", item_id=made[1]["id"], content_index=0, delta="x"),
        event("response.output_text.done", item_id=made[1]["id"], content_index=0, text="x"),
        event("response.function_call_arguments.delta", item_id=made[2]["id"], delta="x"),
        event("response.function_call_arguments.done", item_id=made[2]["id"], arguments="x"),
        event("response.output_item.added", item={**made[2], "status": "in_progress"}),
    ]
    body = answer(thought("hm"), said("a"), F, stem="5")
    assert whole(*body[:-1], *late, body[-1]) == whole(*body)


def test_an_endless_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for bound, parts in (
        ("MAX_ANSWER", (said("x" * 60, "x" * 60),)),
        ("MAX_ARGUMENTS", (called("a", "f", "x" * 60, "x" * 60),)),
        ("MAX_BLOCKS", tuple(said("x") for _ in range(101))),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(ordered, bound, 100)
            failure = failed(*answer(*parts))
        assert (failure.kind, failure.retryable) == ("protocol", False)
        assert "more than 100" in failure.message


def test_calls_that_are_open_side_by_side_and_known_by_their_id_alone() -> None:
    """llama.cpp: no index anywhere, two calls open at once, and no end of arguments."""
    first, second = moved(F, None), moved(G, None)
    body = [
        one
        for one in (*first[:-1], *second[:-1], first[-1], second[-1])
        if b"arguments.done" not in one
    ]
    assert calls(whole(created(), *body, terminal([]))) == RIGHT


@pytest.mark.parametrize("item", UNKNOWN)
def test_items_that_are_not_known_do_no_harm(item: Any) -> None:
    body = [
        created(),
        event("response.output_item.added", output_index=0, item=item),
        event("response.custom_tool_call_input.delta", output_index=0, delta="x"),
        event("response.web_search_call.searching", output_index=0, item_id="ws_1"),
        event("response.output_item.done", output_index=0, item=item),
        *item_events(1, items(F)[0], F),
        terminal([item, *items(F)]),
    ]
    found = whole(*body)
    assert calls(found) == RIGHT[:1]
    assert found.message.content[0].opaque is None  # type: ignore[union-attr]


BROKEN = [
    event("response.output_text.delta"),
    event("response.output_text.delta", output_index="0", content_index=[], item_id={}, delta=7),
    event("response.output_text.done", output_index=True, text=None),
    event("response.function_call_arguments.delta", item_id=None, delta=None),
    event("response.function_call_arguments.done", arguments={"x": 1}),
    event("response.reasoning_summary_text.delta", summary_index={}, delta=["x"]),
    event("response.output_item.added"),
    event("response.output_item.done", item={"type": "message", "content": "text"}),
    event("response.output_item.done", item={"type": "reasoning", "summary": [None, 7]}),
    event("response.output_item.done", item={"type": "function_call", "arguments": None}),
    event("response.created", response=[]),
    event("response.in_progress"),
    event("response.unheard_of", response={"status": "completed"}),
    event("keepalive"),
    b'data: {"type":{"a":1}}\n\n',
    b"data: {}\n\n",
]


@pytest.mark.parametrize("odd", BROKEN)
def test_an_event_of_any_shape_does_no_harm(odd: bytes) -> None:
    found = read(created(), odd, *answer(said("a"))[2:])
    assert isinstance(found, ModelResponse)
    assert "a" in text_of(found)
    assert all(isinstance(fault, str) for _, fault in calls(found))
    failed(created(), odd)


@pytest.mark.parametrize("sent", [{"output": None}, {"output": 7, "usage": [1]}, {"usage": {}}])
def test_an_end_of_any_shape_is_an_end(sent: Any) -> None:
    body = answer(said("a"))[:-1]
    end = event("response.completed", response={"id": "r", "status": "completed", **sent})
    assert text_of(whole(*body, end)) == "a"
    assert text_of(whole(*body, event("response.completed"))) == "a"


# -- failures -------------------------------------------------------------------------------------

FAILED: dict[str, tuple[bytes, str, str, bool]] = {
    "nothing": (b"", "protocol", "without an answer", True),
    "[DONE] alone": (b"data: [DONE]\n\n", "protocol", "without an answer", True),
    "begun": (created(), "protocol", "without an answer", True),
    "text, then [DONE]": (
        b"".join([*answer(said("a"))[:-1], b"data: [DONE]\n\n"]),
        "protocol",
        "middle of the answer",
        True,
    ),
    "a response in progress is no end": (
        b"".join(
            [*answer(said("a"))[:-1], event("response.done", response={"status": "in_progress"})]
        ),
        "protocol",
        "middle of the answer",
        True,
    ),
    "failed": (terminal(error=error("it broke")), "unavailable", "it broke", True),
    "failed after text": (
        b"".join([*answer(said("a"))[:-1], terminal(error=error("it broke"))]),
        "unavailable",
        "it broke",
        True,
    ),
    "failed for nothing": (event("response.failed", response={}), "unavailable", "failed", True),
    "cancelled": (
        event("response.completed", response={"status": "cancelled"}),
        "unavailable",
        "cancelled",
        True,
    ),
    "too many requests": (
        terminal(error=error("slow down", "rate_limit_exceeded")),
        "rate_limit",
        "slow down",
        True,
    ),
    "too long": (
        terminal(error=error("too long", "context_length_exceeded")),
        "context_window_exceeded",
        "too long",
        False,
    ),
    "a picture that it does not take": (
        terminal(error=error("not a picture", "invalid_image_format")),
        "bad_request",
        "not a picture (invalid_image_format)",
        False,
    ),
    "against a policy": (
        terminal(error=error("no", "misalignment_policy_violation")),
        "bad_request",
        "misalignment_policy_violation",
        False,
    ),
    "an error event": (
        event("error", code="server_error", message="oops", param=None),
        "unavailable",
        "oops",
        True,
    ),
    "an error event with the error inside": (
        event("error", error={"type": "invalid_request_error", "code": None, "message": "bad"}),
        "bad_request",
        "bad",
        False,
    ),
    "an error of words": (
        json.dumps({"error": "CUDA out of memory"}).encode(),
        "unavailable",
        "CUDA out of memory",
        True,
    ),
    "an error without a type": (
        b'data: {"error":{"message":"boo","code":503}}\n\n',
        "overloaded",
        "boo",
        True,
    ),
    "bad JSON": (
        b"".join([created(), b"data: {bad\n\n", *answer(said("a"))]),
        "protocol",
        "no JSON",
        True,
    ),
    "a page": (
        b"<!doctype html><html><title>Sign in\x1b[2J</title>",
        "protocol",
        "a web page (Sign in\\u{1b}[2J); check `base_url`",
        False,
    ),
    "an error in a success": (
        json.dumps({"error": {"message": "no such model", "code": "model_not_found"}}).encode(),
        "not_found",
        "no such model",
        False,
    ),
    "another object": (b'{"object":"list","data":[]}', "protocol", "check `base_url`", False),
    "another API's answer": (
        b'{"object":"chat.completion","choices":[]}',
        "protocol",
        "check `base_url`",
        False,
    ),
    "a detail": (b'{"detail":"Not Found","code":404}', "not_found", "Not Found", False),
    "too many calls": (
        b"".join(answer(*(called(f"a{n}", "f") for n in range(200)))),
        "protocol",
        "more than 128 calls",
        False,
    ),
}


@pytest.mark.parametrize(
    ("stream", "kind", "said_of_it", "retryable"), FAILED.values(), ids=FAILED.keys()
)
def test_what_is_no_answer_is_a_failure(
    stream: bytes, kind: str, said_of_it: str, retryable: bool
) -> None:
    for reads in ([stream], [stream[n : n + 1] for n in range(min(len(stream), 3000))]):
        if len(reads) < len(stream) and len(reads) != 1:
            continue
        failure = failed(*reads)
        assert (failure.kind, failure.retryable) == (kind, retryable)
        assert said_of_it in failure.message
        assert "\x1b" not in failure.message
        assert "pw" not in failure.message


def test_secrets_that_a_provider_quotes_are_blotted_out() -> None:
    failure = failed(terminal(error=error("bad key sk-secret", "invalid_api_key")))
    assert failure.kind == "auth"
    assert "sk-secret" not in failure.message
