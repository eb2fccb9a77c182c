import json

import pytest

from agent_host.core.errors import UsageError
from agent_host.records.codec import encode
from agent_host.records.looked_for import looked_for
from agent_host.records.said import said, searchable
from tests.records.samples import LEGAL, records


def test_what_people_models_and_tools_say_is_searchable_and_nothing_else_is():
    kinds = {said(json.loads(encode(one))["event"])[0] for one in records(*LEGAL)}
    assert {"user", "model", "call", "result"} <= kinds
    assert said({"type": "policy_decided"}) == ("", "")


@pytest.mark.parametrize("event", [{}, {"type": 3}, {"type": "user_said"}, {"type": ["x"]}])
def test_an_event_of_no_known_shape_says_nothing(event):
    assert said(event) == ("", "")


def test_text_holds_no_control_characters_and_each_character_of_chinese_is_a_word():
    assert searchable("a\x1b[2J\x02b\n") == "a [2J b"
    assert searchable("退款").replace("\u200b", " ").split() == ["退", "款"]


def test_words_are_phrases_and_never_a_query_language():
    found = looked_for(['late "second order"', "refund*", "-cancelled", "a:b)"])
    assert found.wanted == ('"late"', '"second order"', '"refund*" *', '"a:b)"')
    assert found.unwanted == ('"cancelled"',)


@pytest.mark.parametrize("words", [[], ["-not"], ["***"], ["a"] + [str(n) for n in range(40)]])
def test_too_little_or_too_much_to_look_for_is_said(words):
    with pytest.raises(UsageError):
        looked_for(words)
