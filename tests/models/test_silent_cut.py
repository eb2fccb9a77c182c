"""A server that cuts what does not fit, and says nothing: the user is told, once."""

from typing import Any

import pytest

from agent_host.core.events import ServerLog
from agent_host.core.types import Image, Message, Text
from agent_host.models import openai_chat
from agent_host.models.settings import AdapterSettings
from agent_host.profiles.table import built_in
from tests.conformance.test_adapters import PIXEL
from tests.fakes.asking import ask, request, user
from tests.fakes.chat_server import DONE, ChatServer, finish, stream, text, usage

LONG = user("All work and no play makes Jack a dull boy. " * 1000)  # some 11,000 tokens
PICTURE = Message(
    role="user", content=(*LONG.content, Image(data=PIXEL, media_type="image/png"), Text(text="?"))
)


def logs(counted: int, message: Message, provider: str = "ollama", times: int = 1) -> list[Any]:
    play = stream(text("ok"), finish(), usage(prompt=counted), DONE)
    with ChatServer(play) as server:
        adapter = openai_chat.create(
            AdapterSettings(
                provider=provider,
                model="llama4",
                base_url=server.url,
                profile=built_in().of(provider, "llama4"),
            )
        )
        answers = ask(adapter, *[request(message)] * times)
    assert all(len(one.terminals) == 1 and one.after == 0 for one in answers)
    return [item for one in answers for item in one.deltas if isinstance(item, ServerLog)]


def test_a_prompt_that_was_cut_is_told_once_with_what_to_do() -> None:
    [log] = logs(2048, LONG, times=3)
    assert (log.server, log.level) == ("", "warning")
    assert "counted 2,048 tokens of about 12," in log.text
    assert "num_ctx" in log.text


@pytest.mark.parametrize(
    ("counted", "message", "provider"),
    [
        (11_000, LONG, "ollama"),
        (6_000, LONG, "ollama"),
        (0, LONG, "ollama"),
        (10, user("hello"), "ollama"),
        (2048, PICTURE, "ollama"),
        (2048, LONG, "openai"),
    ],
    ids=["whole", "dense text", "not counted", "short", "with a picture", "who refuses instead"],
)
def test_nothing_is_told_where_nothing_was_cut(
    counted: int, message: Message, provider: str
) -> None:
    assert logs(counted, message, provider) == []
