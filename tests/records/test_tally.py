import json
from dataclasses import asdict

import pytest

from agent_host.core.conversation import Conversation, apply
from agent_host.core.errors import RecordError
from agent_host.core.events import ConversationRewound, Interrupted, RunEnded, RunResumed
from agent_host.core.types import Text, ToolCall
from agent_host.records.codec import encode
from agent_host.records.reader import outcome
from agent_host.records.tally import Tally
from tests.records.samples import (
    APPROVALS,
    LEGAL,
    START,
    approved,
    finished,
    large_refund,
    records,
    requested,
    responded,
    user,
)

ASKED = (START, user("one"), requested("r1"))
CALLED = (*ASKED, responded("r1", ToolCall(id="c1", name="t", arguments={}), stop="tool_use"))
AGAIN = RunResumed(principal=START.principal)
RUNS = {
    "approvals": APPROVALS,
    "rewound after two": (
        *ASKED,
        responded("r1", Text(text="a")),
        user("two"),
        requested("r2"),
        responded("r2", Text(text="b")),
        ConversationRewound(messages=2, by="ana"),
        AGAIN,
        user("three"),
    ),
    "all kinds": LEGAL,
    "ended": (*ASKED, responded("r1", Text(text="a")), RunEnded(reason="done")),
    "interrupted": (*ASKED, Interrupted(by="ana"), AGAIN),
    "resumed among calls": (*CALLED, AGAIN, finished("c1", "ok")),
    "a yes of two": (*CALLED, large_refund("c1"), approved("c1", "bo"), approved("c1", "cy")),
    "rewound": (
        *ASKED,
        responded("r1", Text(text="a")),
        ConversationRewound(messages=0, by="ana"),
        AGAIN,
    ),
}


@pytest.mark.parametrize("events", RUNS.values(), ids=RUNS)
def test_a_tally_finds_at_each_record_what_the_conversation_finds(events):
    state, tally = Conversation(), Tally()
    for record in records(*events):
        state = apply(state, record.event)
        tally.take(json.loads(encode(record)), "run.jsonl:1")
        assert (tally.outcome, tally.awaiting) == (outcome(state), state.awaiting), record.event
        assert tally.input_tokens == state.usage.input_tokens
        tally = Tally(**json.loads(json.dumps(asdict(tally))))


def test_a_tally_refuses_what_is_no_legal_move_and_what_is_damaged():
    first, second, *_ = (json.loads(encode(one)) for one in records(*ASKED))
    with pytest.raises(RecordError, match=r"run.jsonl:1: no legal conversation"):
        Tally().take(second, "run.jsonl:1")
    for damage in ({"type": "user_said"}, {"type": "user_said", "message": 5}, {"type": 7}, {}):
        tally = Tally()
        tally.take(first, "run.jsonl:1")
        with pytest.raises(RecordError, match=r"run.jsonl:2: "):
            tally.take({**second, "event": damage}, "run.jsonl:2")
