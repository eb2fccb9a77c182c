"""`--schema FILE`: an answer that has to be JSON under a schema of the caller's.

Theory of operation: the schema goes to the model with each request, as strictly as its wire can say
it, and the answer is validated here all the same. One that is not valid goes back once, with what
is wrong with it; a second one that is not valid either fails the run. What is handed out is the
value that was validated, never text around it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent_host.core.errors import UsageError
from agent_host.core.events import EndReason, UserSaid
from agent_host.core.loop import outcome
from agent_host.core.text import clean, clean_line
from agent_host.core.types import Json, JsonObject, Message, Text
from agent_host.engine.session import Session
from agent_host.servers.tools.validation import Checker
from agent_host.servers.tools.vetting import SchemaError

MAX_FILE = 1024 * 1024
"""Bytes of a schema's file."""
_FENCE = "```"


@dataclass(frozen=True, slots=True)
class AnswerSchema:
    """A schema and its compiled check."""

    schema: JsonObject
    checker: Checker

    def read(self, text: str) -> tuple[Json, str]:
        """Return the value that an answer is, and what is wrong with it (empty if nothing is)."""
        try:
            value = json.loads(_unfenced(text), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            return None, f"it is not one JSON value: {clean_line(str(error), 200)}"
        return value, "; ".join(self.checker.problems(value))


def read_schema(name: str) -> AnswerSchema:
    """Read `--schema`'s file. Raises UsageError for one that cannot be used."""
    shown = clean_line(name, 200)
    try:
        with Path(name).expanduser().open("rb") as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise UsageError(f"--schema {shown} is larger than {MAX_FILE} bytes")
        schema = json.loads(data.decode(), parse_constant=_no_constant)
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"--schema {shown}: {clean_line(why)}; check the path") from None
    except (ValueError, RecursionError) as error:
        said = clean_line(str(error), 200)
        raise UsageError(f"--schema {shown} is no JSON: {said}") from None
    if not isinstance(schema, dict):
        raise UsageError(f"--schema {shown} is no JSON Schema: it has to be an object")
    try:
        return AnswerSchema(schema, Checker(schema))
    except SchemaError as error:
        raise UsageError(f"--schema {shown} is no JSON Schema: {error}") from None


def shown_json(value: Json) -> str:
    """Return JSON on one line, safe for a terminal: what could fake or hide text is escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return text if clean(text) == text else json.dumps(value)


async def in_schema(
    session: Session, wanted: AnswerSchema, hand_out: Callable[[Json], None]
) -> tuple[EndReason | None, str]:
    """Validate the session's answer, have it repaired once, and hand it out.

    Return how the step ended and, if it failed, why.
    """
    value, problem = wanted.read(_answer(session))
    if problem:
        session.tell(UserSaid(message=Message(role="user", content=(Text(text=_again(problem)),))))
        reason = outcome(await session.run())
        if reason != "done":
            return reason, ""
        value, problem = wanted.read(_answer(session))
    if problem:
        return "failed", f"the answer is not valid under --schema, also when asked again: {problem}"
    hand_out(value)
    return "done", ""


def _again(problem: str) -> str:
    return (
        "Your answer is not valid under the JSON Schema that it must follow: "
        f"{problem}. Answer again with the JSON value alone: no prose, no code fence."
    )


def _answer(session: Session) -> str:
    messages = session.conversation.messages
    if not messages or messages[-1].role != "assistant":
        return ""
    return "".join(b.text for b in messages[-1].content if isinstance(b, Text))


def _unfenced(text: str) -> str:
    """A value in one code fence is still that value: models put it there whatever they are told."""
    stripped = text.strip()
    if stripped.startswith(_FENCE) and stripped.endswith(_FENCE) and stripped.count(_FENCE) == 2:
        return stripped.removesuffix(_FENCE).partition("\n")[2]
    return stripped


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON")
