"""A model server on this machine, as a hint."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent_host.config.local import local_hint


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.0 {status}\r\nContent-Type: x\r\n\r\n".encode() + body


def test_a_model_server_is_found_with_its_models():
    body = json.dumps({"data": [{"id": "llama4"}, {"id": "b\x1b[2J"}]}).encode()
    with answering(http(body)) as port:
        (found,) = local_hint([port])
    assert found.models == ("llama4", "b\\u{1b}[2J")
    assert found.hint == f"http://127.0.0.1:{port}/v1:llama4"


@pytest.mark.parametrize(
    "answer",
    [
        http(b"<html>"),
        http(b'{"data": 3}'),
        http(b'{"data": [{"id": 3}]}'),
        http(b'{"data": []}', "404 Not Found"),
        b"220 mail.example ESMTP\r\n",
        b"",
        b"[" * 100_000,
    ],
)
def test_what_answers_otherwise_is_no_model_server(answer: bytes):
    with answering(answer) as port:
        assert local_hint([port]) == ()


def test_a_closed_port_is_no_model_server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert local_hint([port]) == ()


def test_a_silent_port_costs_a_fraction_of_a_second():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert local_hint([listener.getsockname()[1]]) == ()
