"""A provider whose model does all that a scorecard asks, on each wire; and badly where it is told.

Theory of operation: the fakes of the wires judge a request as ever; what the model then says is
decided from the request alone, by the words that the checks use. A key is needed, one model is
known. `flaw` names what goes wrong; a flaw that no wire here has is a typo, and raises.
"""

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from tests.fakes import chat_server as chat
from tests.fakes import messages_server as messages
from tests.fakes import responses_server as responses
from tests.fakes.provider_server import Play, refusal

KEY, MODEL = "k-secret-123", "fake-1"
LONG = ", ".join(["one, two, three"] * 15_000)
"""More than one network read, so that a client sees that it comes in pieces."""

Flaw = Literal[
    "",
    "blind",
    "cut prompt",
    "forgets",
    "ignores limit",
    "ignores tools",
    "jumbles arguments",
    "merges calls",
    "no end",
    "odd reason",
    "no images",
    "no schema",
    "no tools",
    "no usage",
    "one at a time",
    "prose for JSON",
    "unlocked",
    "unlocked model",
    "whole",
    "wild count",
]


@dataclass(frozen=True)
class Asked:
    """A request, whatever its wire."""

    raw: str
    text: str
    image: bool
    results: bool
    tools: bool
    limit: int


@dataclass(frozen=True)
class Said:
    text: str = ""
    orders: tuple[str, ...] = ()
    cut: bool = False


def reply(asked: Asked, flaw: str) -> Said:
    """What a model says that does as it is told."""
    if asked.results:
        return Said("It was shipped on 12 March. Of the other order nothing is known.")
    if asked.image:
        return Said("I cannot see any image." if flaw == "blind" else "Orange.")
    if "inhabitants" in asked.raw:
        value = {"city": "Lima", "country": "Peru", "inhabitants": 10_000_000}
        return Said("Lima, of course." if flaw == "prose for JSON" else json.dumps(value))
    if "secret word" in asked.text:
        return Said("What word?" if flaw in ("forgets", "cut prompt") else "Pelican")
    if asked.tools and "Call orders__get_order" in asked.text and flaw != "ignores tools":
        orders = re.findall(r"[A-Z]-\d{4}", asked.text)
        return Said(orders=tuple(orders[:1] if flaw == "one at a time" else orders))
    if "Count from" in asked.text:
        if asked.limit <= 16 and flaw != "ignores limit":
            return Said("one, two", cut=True)
        return Said(LONG[:1000] if flaw == "whole" else LONG)
    return Said("Yes.")


class _Capable:
    """What the three servers have in common."""

    flaw: str
    received: list[Any]

    def _flaw(self, flaw: str) -> None:
        assert flaw in get_args(Flaw), flaw
        self.flaw = flaw

    def refused_by(self, headers: dict[str, str], body: Any) -> str | None:
        """Why the key or the model is not taken, as status and words."""
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if key != KEY and self.flaw != "unlocked":
            return f"401 Incorrect API key provided: {key}"
        if body.get("model") != MODEL and self.flaw != "unlocked model":
            return f"404 The model {body.get('model')} does not exist"
        raw = json.dumps(body)
        if self.flaw == "no images" and re.search(r'"(image|image_url|input_image)"', raw):
            return "400 This model does not support image input."
        if self.flaw == "no tools" and body.get("tools"):
            return "400 registry/fake-1 does not support tools"
        if self.flaw == "no schema" and re.search(r'"(response_format|output_config)"', raw):
            return "400 Unknown parameter"
        return None

    def counted(self, play: Play, asked: Asked) -> Play:
        """The play with the tokens that were really sent."""
        count = len(asked.raw) // 4
        if self.flaw == "cut prompt":
            count = min(count, 2048)
        if self.flaw == "wild count":
            count *= 4
        return replace(
            play,
            body=[
                re.sub(rb'"(prompt|input)_tokens": 12\b', rb'"\1_tokens": %d' % count, data)
                for data in play.body
            ],
        )


def _refusal(problem: str) -> Play:
    status, _, message = problem.partition(" ")
    return refusal(int(status), {"error": {"message": message, "type": "invalid_request_error"}})


class CapableChat(_Capable, chat.ChatServer):
    """Over Chat Completions."""

    adapter = "openai-chat"

    def __init__(self, *plays: Play, flaw: str = "", **options: Any) -> None:
        super().__init__(*plays, **options)
        self._flaw(flaw)

    def judge(self, path: str, headers: dict[str, str], body: Any) -> str | None:
        return self.refused_by(headers, body) or super().judge(path, headers, body)

    def refusal(self, problem: str) -> Play:
        return _refusal(problem) if problem[:3].isdigit() else super().refusal(problem)

    def default(self, body: Any) -> Play:
        last = body["messages"][-1]
        content = last["content"]
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        asked = Asked(
            raw=json.dumps(body),
            text="".join(part.get("text", "") for part in parts),
            image=any(part["type"] == "image_url" for part in parts),
            results=last["role"] == "tool",
            tools=bool(body.get("tools")),
            limit=body.get("max_tokens") or body.get("max_completion_tokens") or 10**6,
        )
        return self.counted(self._said(reply(asked, self.flaw)), asked)

    def _said(self, said: Said) -> Play:
        events = [chat.text(said.text)] if said.text else []
        if said.text == LONG:
            events = [chat.text(LONG[at : at + 10_000]) for at in range(0, len(LONG), 10_000)]
        arguments = [json.dumps({"order_id": order}) for order in said.orders]
        if self.flaw == "merges calls":
            arguments = ["".join(arguments)] if arguments else []
        if self.flaw == "jumbles arguments":
            arguments = [one.replace("-", "") for one in arguments]
        events += [
            chat.call(chat.piece(place, f"call_{place}", "orders__get_order", one))
            for place, one in enumerate(arguments)
        ]
        if self.flaw != "no end":
            reason = (
                "whim"
                if self.flaw == "odd reason"
                else "length"
                if said.cut
                else "tool_calls"
                if arguments
                else "stop"
            )
            events.append(chat.finish(reason))
        if self.flaw != "no usage":
            events.append(chat.usage(completion=max(3, len(said.text) // 4)))
        return chat.stream(*events, *([] if self.flaw == "no end" else [chat.DONE]))


class CapableResponses(_Capable, responses.ResponsesServer):
    """Over Responses."""

    adapter = "openai-responses"

    def __init__(self, *plays: Play, flaw: str = "", **options: Any) -> None:
        super().__init__(*plays, **options)
        self._flaw(flaw)

    def judge(self, path: str, headers: dict[str, str], body: Any) -> str | None:
        return self.refused_by(headers, body) or super().judge(path, headers, body)

    def refusal(self, problem: str) -> Play:
        return _refusal(problem) if problem[:3].isdigit() else super().refusal(problem)

    def default(self, body: Any) -> Play:
        last = body["input"][-1]
        content = last.get("content", "")
        parts = content if isinstance(content, list) else [{"type": "input_text", "text": content}]
        asked = Asked(
            raw=json.dumps(body),
            text="".join(part.get("text", "") for part in parts),
            image=any(part["type"] == "input_image" for part in parts),
            results=last.get("type") == "function_call_output",
            tools=bool(body.get("tools")),
            limit=body.get("max_output_tokens") or 10**6,
        )
        said = reply(asked, self.flaw)
        pieces = [said.text[at : at + 10_000] for at in range(0, len(said.text), 10_000)]
        items = [responses.said(*pieces)] if said.text else []
        items += [
            responses.called(f"call_{order}", "orders__get_order", json.dumps({"order_id": order}))
            for order in said.orders
        ]
        reason = "max_output_tokens" if said.cut else ""
        return self.counted(responses.whole(*items, reason=reason), asked)


class CapableMessages(_Capable, messages.MessagesServer):
    """Over Messages."""

    adapter = "anthropic"

    def __init__(self, *plays: Play, flaw: str = "", **options: Any) -> None:
        super().__init__(*plays, **options)
        self._flaw(flaw)

    def judge(self, path: str, headers: dict[str, str], body: Any) -> str | None:
        return self.refused_by(headers, body) or super().judge(path, headers, body)

    def refusal(self, problem: str) -> Play:
        return _refusal(problem) if problem[:3].isdigit() else super().refusal(problem)

    def default(self, body: Any) -> Play:
        content = body["messages"][-1]["content"]
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        asked = Asked(
            raw=json.dumps(body),
            text="".join(part.get("text", "") for part in parts),
            image=any(part["type"] == "image" for part in parts),
            results=any(part["type"] == "tool_result" for part in parts),
            tools=bool(body.get("tools")),
            limit=body["max_tokens"],
        )
        said = reply(asked, self.flaw)
        pieces = [said.text[at : at + 10_000] for at in range(0, len(said.text), 10_000)]
        blocks = [messages.said(0, *pieces)] if said.text else []
        if body.get("thinking"):
            blocks = [messages.thought(0, "Let me see.", model=MODEL), messages.said(1, *pieces)]
        for order in said.orders:
            arguments = json.dumps({"order_id": order})
            blocks.append(
                messages.called(len(blocks), f"toolu_{order}", "orders__get_order", arguments)
            )
        reason = "max_tokens" if said.cut else "tool_use" if said.orders else "end_turn"
        return self.counted(messages.whole(*blocks, reason=reason), asked)


CAPABLE = (CapableChat, CapableResponses, CapableMessages)
