"""Properties of what a model is sent, whatever was compacted and taken back."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.compaction import Space, asked, due, extract, overflow
from agent_host.core.context import view
from agent_host.core.conversation import Conversation, apply, fold
from agent_host.core.events import (
    ConversationRewound,
    Event,
    Interrupted,
    ModelRequested,
    ModelResponded,
    PolicyDecided,
    RunResumed,
    RunStarted,
    ToolFinished,
    ToolStarted,
    UserSaid,
)
from agent_host.core.filling import filling, fixed_size, used
from agent_host.core.handoff import is_legal, legal
from agent_host.core.left_out import view_size
from agent_host.core.limits import Limits
from agent_host.core.loop import CallModel, Compact, decide
from agent_host.core.size import characters
from agent_host.core.types import Image, Message, Text, ToolCall, ToolResult, Usage
from tests.fakes.rooms import TESTER, TOOLS, said

START = RunStarted(run_id="r", principal=TESTER, provider="p", model="m", adapter="a")

sizes = st.sampled_from([0, 5, 300, 700, 3_000, 20_000])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), sizes),
        st.tuples(st.just("answer"), sizes, st.integers(0, 20_000)),
        st.tuples(st.just("call"), st.lists(sizes, min_size=1, max_size=3)),
        st.tuples(st.just("window"), st.sampled_from([500, 2_000, 8_000, 30_000])),
        st.tuples(st.just("overflow")),
        st.tuples(st.just("asked")),
        st.tuples(st.just("back"), st.integers(0, 30)),
        st.tuples(st.just("stop")),
        st.tuples(st.just("resume")),
    ),
    max_size=30,
)


class Story:
    """Plays steps that are legal where they come, and keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = [START]
        self.c: Conversation = fold(self.events)
        self.number = 0

    def add(self, *events: Event) -> None:
        for event in events:
            self.c = apply(self.c, event)
            self.events.append(event)

    def play(self, step: tuple) -> None:
        kind, *rest = step
        if kind == "say":
            self.add(UserSaid(message=said("s" * rest[0] or "?")))
        elif kind in ("answer", "call"):
            if self.c.awaiting != "model":
                self.add(UserSaid(message=said("go on")))
            getattr(self, kind)(*rest)
        elif kind == "stop":
            self.add(Interrupted(by="me"))
        elif kind == "resume":
            self.add(RunResumed(principal=TESTER))
        elif kind == "back":
            places = [i for i, m in enumerate(self.c.messages) if m.role == "user"]
            if self.c.awaiting == "user" and places:
                place = places[rest[0] % len(places)]
                self.add(ConversationRewound(messages=place))
        else:
            self.shorten(kind, rest)

    def shorten(self, kind: str, rest: list) -> None:
        space = Space.of(rest[0] if rest else 0, share=0.8, reserve=100, fixed=400)
        c = self.c
        plan = {
            "window": lambda: due(c, space),
            "overflow": lambda: overflow(c, space),
            "asked": lambda: asked(c, space, "me"),
        }[kind]()
        if plan is None:
            return
        before = view_size(c)
        self.add(extract(c, plan))
        assert view_size(self.c) < before
        if kind == "window":
            times = 0
            while (plan := due(self.c, space)) is not None:
                self.add(extract(self.c, plan))
                times += 1
                assert times < 12
            nothing_more = overflow(self.c, space) is None
            assert used(self.c, 400) <= space.mark or due(self.c, space) is None
            assert used(self.c, 400) <= space.mark or nothing_more or times < 12

    def answer(self, size: int, counted: int) -> None:
        self.number += 1
        name = f"q{self.number}"
        self.add(
            ModelRequested(request_id=name, provider="p", model="m"),
            ModelResponded(
                request_id=name,
                message=Message(role="assistant", content=(Text(text="a" * size or "!"),)),
                stop_reason="end_turn",
                usage=Usage(input_tokens=counted, output_tokens=min(counted, 5)),
            ),
        )

    def call(self, results: list[int]) -> None:
        self.number += 1
        name = f"q{self.number}"
        ids = [f"{name}.{i}" for i in range(len(results))]
        calls = tuple(ToolCall(id=i, name="w__read", arguments={}) for i in ids)
        self.add(
            ModelRequested(request_id=name, provider="p", model="m"),
            ModelResponded(
                request_id=name,
                message=Message(role="assistant", content=calls),
                stop_reason="tool_use",
            ),
        )
        for call_id, size in zip(ids, results, strict=True):
            content = (Text(text="r" * size),)
            if size == 300:
                content = (*content, Image(data="AAAA", media_type="image/png"))
            self.add(
                PolicyDecided(call_id=call_id, decision="allow", rule="x"),
                ToolStarted(
                    call_id=call_id, server="w", tool="read", fingerprint="f", arguments={}
                ),
                ToolFinished(result=ToolResult(call_id=call_id, content=content)),
            )


def told(plan: list) -> Story:
    story = Story()
    for step in plan:
        story.play(step)
    return story


@given(steps)
@settings(max_examples=300, deadline=None)
def test_a_view_is_legal_no_longer_than_the_log_and_keeps_each_call_with_its_result(plan):
    c = told(plan).c
    seen = view(c)
    assert is_legal(seen)
    assert legal(seen) is seen
    assert len(seen) <= len(c.messages) or not c.messages
    assert sum(map(characters, seen)) <= sum(map(characters, c.messages)) + 1500
    calls = [b.id for m in seen for b in m.content if isinstance(b, ToolCall)]
    results = [b.call_id for m in seen for b in m.content if isinstance(b, ToolResult)]
    assert calls == results
    if c.messages:
        assert seen[0].role == "user"
        assert seen[-1].role == c.messages[-1].role or len(seen) == 1


@given(steps)
@settings(max_examples=100, deadline=None)
def test_the_same_events_make_the_same_view_whatever_the_process(plan):
    story = told(plan)
    assert fold(story.events) == story.c
    assert view(fold(story.events)) == view(story.c)
    for length in range(1, len(story.events), 5):
        prefix = fold(story.events[:length])
        resumed = apply(prefix, RunResumed(principal=TESTER))
        assert view(resumed) == view(prefix)
        assert is_legal(view(prefix)) or prefix.calls


@given(steps, st.sampled_from([500, 3_000, 10_000]))
@settings(max_examples=200, deadline=None)
def test_the_model_is_asked_in_the_end_and_then_it_fits_or_nothing_more_can_go(plan, window):
    story = told(plan)
    if story.c.awaiting != "model":
        story.add(UserSaid(message=said("go on")))
    tools = tuple(TOOLS.values())
    fixed = fixed_size("", tools)
    space = Space.of(window, share=0.8, reserve=0, fixed=fixed)
    for _ in range(15):
        (action,) = decide(story.c, tools=TOOLS, limits=Limits(max_turns=None), space=space)
        if isinstance(action, CallModel):
            break
        assert isinstance(action, Compact)
        story.add(extract(story.c, action.plan))
    assert isinstance(action, CallModel)
    assert used(story.c, fixed) <= space.mark or due(story.c, space) is None
    shown = filling(story.c, tools)
    assert shown.used == used(story.c, fixed) == sum(part.tokens for part in shown.parts)
