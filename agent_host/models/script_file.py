"""Reads a script: the TOML file of turns behind a `script` model.

    [[turn]]                                  # the model's first answer
    expect = "12345"                          # what must have been said, else the run fails
    say = "I look it up."
    call = { name = "orders__get_order", arguments = { order_id = "12345" } }

    [[turn]]
    expect = { call = "orders__get_order", json = { status = "shipped" } }
    say = "It was shipped."

Theory of operation: the file is parsed once, when the model is made, and every mistake in it is a
ConfigError with file and line. TOML, because text over several lines and tables read well in it,
and the language has a parser in the standard library; that one gives no lines for values, so the
line of a turn is found by its heading. The keys are described in docs/scripts.md.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line
from agent_host.core.types import FailureKind, Json, StopReason, ToolErrorKind, Usage

FILE_LIMIT = 10_000_000
"""Bytes of the largest script that is read."""

Fault = Literal["malformed_call", "truncated_call"]

_HEADING = re.compile(r"\s*\[\[\s*turn\s*\]\]")
_TOML_LINE = re.compile(r"^(.*?) \(at line (\d+), column \d+\)$|^(.*?) \(at end of document\)$")
_TURN_KEYS = (
    *("say", "reasoning", "call", "expect", "stop_reason", "chunk", "usage"),
    *("fail", "message", "retry_after", "retryable", "after", "times"),
)
_CALL_KEYS = ("name", "arguments", "raw", "fault", "id")
_EXPECT_KEYS = ("contains", "matches", "json", "error", "call", "user", "tools")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedCall:
    """A call that the script's model asks for. With a `fault`, `raw` is what came."""

    name: str
    arguments: dict[str, Any]
    raw: str | None = None
    fault: Fault | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What must hold before a turn is answered. `call` names the call whose result is looked
    at, or its number among the last results; `user`: the user's last message is looked at; else
    the last message. None: not asked about."""

    contains: tuple[str, ...] = ()
    matches: re.Pattern[str] | None = None
    json: Json = None
    has_json: bool = False
    error: bool | ToolErrorKind | None = None
    call: str | int | None = None
    user: bool = False
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedFailure:
    """A failure in place of an answer: after `after` characters of it were streamed, for the
    first `times` attempts (then the turn is answered)."""

    kind: FailureKind
    message: str
    retryable: bool
    retry_after: float | None
    after: int
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One answer of the script's model. `line`: where it stands; `chunk`: characters a delta."""

    line: int
    say: str = ""
    reasoning: str = ""
    calls: tuple[ScriptedCall, ...] = ()
    expect: tuple[Expectation, ...] = ()
    stop_reason: StopReason = "end_turn"
    chunk: int = 20
    usage: Usage = Usage()
    failure: ScriptedFailure | None = None


def read_script(path: Path) -> tuple[Turn, ...]:
    """Return the turns of a script. Raises ConfigError naming file, line and what to do."""
    shown = clean_line(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT + 1)
    except OSError as error:
        reason = clean_line(error.strerror or "it cannot be read")
        raise ConfigError(
            f"{shown}: the script cannot be read: {reason}; check `path` of the model"
        ) from None
    if len(data) > FILE_LIMIT:
        raise ConfigError(f"{shown}: the script is larger than {FILE_LIMIT} bytes; split it")
    try:
        text = data.decode()
        table = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{shown}:{line}: not UTF-8; save the script as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax(shown, str(error), text)) from None
    except RecursionError:
        raise ConfigError(f"{shown}:1: nested too deeply; write flat turns") from None
    return _Reader(shown, text).turns(table)


def _syntax(shown: str, message: str, text: str) -> str:
    match = _TOML_LINE.match(message)
    line = match[2] if match and match[2] else str(text.count("\n") + 1)
    what = (match[1] or match[3]) if match else message
    return f"{shown}:{line}: no valid TOML: {clean_line(what)}; see docs/scripts.md"


class _Reader:
    """Checks the table of one file. Every `_fail` is a ConfigError at the turn at hand."""

    def __init__(self, shown: str, text: str) -> None:
        self._shown = shown
        lines = text.split("\n")
        self._headings = [n for n, line in enumerate(lines, 1) if _HEADING.match(line)]
        self._lines = lines
        self._start = 1
        self._end = len(lines) + 1

    def turns(self, table: Mapping[str, Any]) -> tuple[Turn, ...]:
        for key in table:
            if key != "turn":
                self._unknown(key, ("turn",), "a script")
        entries = table.get("turn")
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            self._fail("a script needs turns, each under its own [[turn]]")
        return tuple(self._turn(number, entry) for number, entry in enumerate(entries))

    def _fail(self, what: str, key: str | None = None) -> NoReturn:
        raise ConfigError(f"{self._shown}:{self._line(key)}: {what}; see docs/scripts.md")

    def _line(self, key: str | None) -> int:
        """Return the line of a key of the turn at hand, as far as text can tell."""
        if key is not None:
            place = re.compile(
                rf"(?:^|[\s{{,.\[])(?:{re.escape(key)}|\"{re.escape(key)}\")[\s=.\]]"
            )
            for number in range(self._start, self._end):
                if place.search(self._lines[number - 1] + " "):
                    return number
        return self._start

    def _unknown(self, key: str, known: tuple[str, ...], where: str) -> NoReturn:
        near = difflib.get_close_matches(key, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        self._fail(f"{clean_line(key, 60)!r} is no key of {where}; {hint}", key)

    def _keys(self, entry: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        for key in entry:
            if key not in known:
                self._unknown(key, known, where)

    def _take(
        self, entry: Mapping[str, Any], key: str, kind: type | tuple[type, ...], what: str
    ) -> Any:
        """Return a value of the right type, or None if the key is not there."""
        value = entry.get(key)
        if value is None:
            return None
        wrong_bool = isinstance(value, bool) and kind is not bool and kind != (bool, str)
        if wrong_bool or not isinstance(value, kind):
            self._fail(f"{key!r} must be {what}", key)
        return value

    def _choice(self, entry: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> Any:
        value = self._take(entry, key, str, "text")
        if value is not None and value not in choices:
            self._fail(f"{key!r} must be one of {', '.join(choices)}", key)
        return value

    def _count(self, entry: Mapping[str, Any], key: str, default: int, least: int) -> int:
        value = self._take(entry, key, int, "a whole number")
        if value is not None and value < least:
            self._fail(f"{key!r} must be at least {least}", key)
        return default if value is None else int(value)

    def _many(
        self, entry: Mapping[str, Any], key: str, one: Callable[[Any], Any]
    ) -> tuple[Any, ...]:
        """Return what `one` makes of a value, or of each value in a list."""
        value = entry.get(key)
        if value is None:
            return ()
        return tuple(one(item) for item in (value if isinstance(value, list) else [value]))

    def _turn(self, number: int, entry: Mapping[str, Any]) -> Turn:
        if number < len(self._headings):
            self._start = self._headings[number]
            following = self._headings[number + 1 : number + 2]
            self._end = following[0] if following else len(self._lines) + 1
        self._keys(entry, _TURN_KEYS, "a turn")
        calls = self._many(entry, "call", self._call)
        failure = self._failure(entry)
        say = self._take(entry, "say", str, "text") or ""
        reasoning = self._take(entry, "reasoning", str, "text") or ""
        if not (say or reasoning or calls or failure):
            self._fail("the turn does nothing: it needs say, call or fail")
        stop = self._choice(entry, "stop_reason", get_args(StopReason))
        return Turn(
            line=self._start,
            say=say,
            reasoning=reasoning,
            calls=calls,
            expect=self._many(entry, "expect", self._expectation),
            stop_reason=stop or ("tool_use" if calls else "end_turn"),
            chunk=self._count(entry, "chunk", 20, 1),
            usage=self._usage(entry),
            failure=failure,
        )

    def _usage(self, entry: Mapping[str, Any]) -> Usage:
        table = self._take(entry, "usage", dict, "a table of token counts") or {}
        names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
        self._keys(table, names, "usage")
        return Usage(**{name: self._count(table, name, 0, 0) for name in names})

    def _call(self, value: Any) -> ScriptedCall:
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict):
            self._fail("'call' must be a tool's name or a table with name and arguments", "call")
        self._keys(value, _CALL_KEYS, "a call")
        name = self._take(value, "name", str, "text")
        raw = self._take(value, "raw", str, "text")
        arguments = self._take(value, "arguments", dict, "a table")
        if not name:
            self._fail("a call needs the name of a tool", "call")
        if raw is not None and arguments is not None:
            self._fail("a call has either arguments or raw", "raw")
        if not _is_json(arguments):
            self._fail("arguments must be JSON: no dates and no nan or inf", "arguments")
        fault = self._choice(value, "fault", get_args(Fault))
        if (fault is None) != (raw is None):
            self._fail("'raw' and 'fault' go together: what came, and what is wrong with it", "raw")
        return ScriptedCall(
            name=name,
            arguments=arguments or {},
            raw=raw,
            fault=fault,
            id=self._take(value, "id", str, "text"),
        )

    def _failure(self, entry: Mapping[str, Any]) -> ScriptedFailure | None:
        kind = self._choice(entry, "fail", get_args(FailureKind))
        if kind is None:
            for key in ("message", "retry_after", "retryable", "after", "times"):
                if key in entry:
                    self._fail(f"{key!r} belongs to fail", key)
            return None
        wait = self._take(entry, "retry_after", (int, float), "seconds")
        if wait is not None and not 0 <= wait < 1e9:
            self._fail("'retry_after' must be seconds", "retry_after")
        retryable = self._take(entry, "retryable", bool, "true or false")
        transient = kind in ("overloaded", "rate_limit", "timeout", "unavailable")
        return ScriptedFailure(
            kind=kind,
            message=self._take(entry, "message", str, "text") or f"the script says {kind}",
            retryable=transient if retryable is None else retryable,
            retry_after=wait,
            after=self._count(entry, "after", 0, 0),
            times=self._count(entry, "times", 1, 1),
        )

    def _expectation(self, value: Any) -> Expectation:
        if isinstance(value, str):
            value = {"contains": value}
        if not isinstance(value, dict):
            self._fail("'expect' must be text or a table", "expect")
        self._keys(value, _EXPECT_KEYS, "expect")
        if not any(key in value for key in ("contains", "matches", "json", "error", "tools")):
            self._fail("expect needs contains, matches, json, error or tools", "expect")
        if not _is_json(value.get("json")):
            self._fail("json must be JSON: no dates and no nan or inf", "json")
        error = self._take(value, "error", (bool, str), "true, false or a kind")
        if isinstance(error, str) and error not in get_args(ToolErrorKind):
            self._fail(f"'error' must be one of {', '.join(get_args(ToolErrorKind))}", "error")
        return Expectation(
            contains=self._many(value, "contains", self._text_of("contains")),
            matches=self._pattern(value),
            json=value.get("json"),
            has_json="json" in value,
            error=error,
            call=self._take(value, "call", (str, int), "a tool's name or a number"),
            user=bool(self._take(value, "user", bool, "true or false")),
            tools=self._many(value, "tools", self._text_of("tools")),
        )

    def _text_of(self, key: str) -> Callable[[Any], str]:
        def text(value: Any) -> str:
            if not isinstance(value, str):
                self._fail(f"{key!r} must be text, or a list of texts", key)
            return value

        return text

    def _pattern(self, value: Mapping[str, Any]) -> re.Pattern[str] | None:
        text = self._take(value, "matches", str, "a regular expression")
        if text is None:
            return None
        try:
            return re.compile(text, re.MULTILINE)
        except (re.error, RecursionError, OverflowError) as error:
            self._fail(f"'matches' is no regular expression: {clean_line(str(error))}", "matches")


def _is_json(value: Any) -> bool:
    """Say whether a TOML value is a JSON value (TOML also has dates, nan and inf)."""
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, float):
        return value - value == 0
    return value is None or isinstance(value, str | int)
