"""`/model` in a chat at a real terminal: another wire answers from the next message on."""

from pathlib import Path

from tests.fakes.ptys import Terminal
from tests.fakes.wires import CHAT, MESSAGES, RESPONSES


def test_a_chat_goes_from_wire_to_wire_and_keeps_its_history(tmp_path: Path) -> None:
    looks = [("c1", "shop__look", '{"order": "12345"}')]
    first = [CHAT.says(["I look."], looks, "end"), CHAT.says(["It is here."], [], "end")]
    second = [
        RESPONSES.says([], [("c1", "shop__look", '{"order": "777"}')], "end"),
        RESPONSES.says(["That one too."], [], "end"),
    ]
    with (
        CHAT.server(*first) as chat,
        RESPONSES.server(*second) as responses,
        MESSAGES.server(MESSAGES.says(["Both, then."], [], "end")) as messages,
    ):
        tables = [
            wire.config(server.url).replace("[models.m]", f"[models.{name}]")
            for name, wire, server in (
                ("one", CHAT, chat),
                ("two", RESPONSES, responses),
                ("three", MESSAGES, messages),
            )
        ]
        (tmp_path / "servers.toml").write_text('model = "one"\n' + "".join(tables))
        with Terminal("chat", "--trust", cwd=tmp_path) as terminal:
            terminal.wait("/help")
            terminal.keys("Where is my order?\r")
            terminal.wait("It is here.")
            terminal.wait("cost unknown")
            terminal.keys("/model two\r")
            terminal.keys("And the other?\r")
            terminal.wait("That one too.")
            terminal.keys("/model three\r")
            terminal.keys("So?\r")
            terminal.wait("Both, then.")
            terminal.keys("/quit\r")
            assert terminal.exit_status() == 0
        assert [chat.refused, responses.refused, messages.refused] == [[], [], []]
        last = messages.received[-1].body["messages"]
    said = str(last)
    for text in ("Where is my order?", "I look.", "It is here.", "That one too.", "777", "So?"):
        assert text in said
