"""How a person logs in: a browser that comes back, or an address that is pasted."""

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from agent_host.servers.login import browser as browser_module
from agent_host.servers.login.browser import Terminal, open_browser
from agent_host.servers.login.errors import LoginFailedError
from agent_host.servers.login.loopback import Loopback
from agent_host.servers.login.person import Redirect, parameters
from tests.fakes.authorization_server import protected
from tests.fakes.login_hosting import client_of, once, post, spec_for

HERE = Redirect(server="crm", path="/callback/secret")


async def raw(port, text, host="127.0.0.1"):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(text.replace("\n", "\r\n").encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()


def request(port, path="/callback/secret?code=c&state=s", method="GET", host=None, more=""):
    name = f"127.0.0.1:{port}" if host is None else host.replace("PORT", str(port))
    return f"{method} {path} HTTP/1.1\nHost: {name}\n{more}\n"


@asynccontextmanager
async def listening(redirect=HERE):
    async with Loopback(redirect) as listener:
        yield listener, urlsplit(listener.redirect_uri).port


def test_a_browser_that_comes_back_ends_the_listening():
    async def scenario():
        async with listening() as (listener, port):
            page = await raw(port, request(port))
            came = await listener.came()
            again = await raw(port, request(port, "/callback/secret?code=other&state=s"))
            return page, dict(came), again, listener.redirect_uri

    page, came, again, uri = asyncio.run(scenario())
    assert came == {"code": "c", "state": "s"}
    assert page.startswith("HTTP/1.1 200 ")
    assert "close this page" in page
    assert "Content-Security-Policy: default-src 'none'" in page
    assert again.startswith("HTTP/1.1 404 ")
    assert uri.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "/callback?code=c&state=s"},
        {"path": "/favicon.ico"},
        {"path": "/callback/secret"},
        {"method": "POST"},
        {"method": "HEAD"},
        {"host": "evil.example:PORT"},
        {"host": "127.0.0.1"},
        {"host": ""},
        {"more": "Origin: https://evil.example\n"},
        {"more": "Sec-Fetch-Mode: no-cors\n"},
    ],
)
def test_what_is_not_the_browser_coming_back_counts_for_nothing(wrong):
    async def scenario():
        async with listening() as (listener, port):
            refused = await raw(port, request(port, **wrong))
            await raw(port, request(port, host="localhost:PORT"))
            return refused, dict(await listener.came())

    refused, came = asyncio.run(asyncio.wait_for(scenario(), 10))
    assert refused.startswith("HTTP/1.1 404 ")
    assert came["code"] == "c"


def test_garbage_and_floods_do_not_end_the_listening():
    async def scenario():
        async with listening() as (listener, port):
            await raw(port, "\x00\xff\n\n")
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /" + b"a" * 100_000)
            await reader.read()
            writer.close()
            await raw(port, request(port))
            return dict(await listener.came())

    assert asyncio.run(asyncio.wait_for(scenario(), 10))["code"] == "c"


def test_localhost_is_listened_to_in_both_families():
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")

    async def scenario():
        async with listening() as (listener, port):
            try:
                await raw(port, request(port, host="localhost:PORT"), host="::1")
            except OSError:
                pytest.skip("no IPv6 here")
            return dict(await listener.came())

    assert asyncio.run(scenario())["code"] == "c"


def test_a_port_that_is_taken_is_replaced_unless_the_config_names_it():
    async def scenario(port):
        async with listening(Redirect(server="crm", port=port)) as (_, other):
            assert other != port
        with pytest.raises(LoginFailedError, match=r"change auth\.redirect_port"):
            async with Loopback(Redirect(server="crm", port=port, fixed=True)):
                pass

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(scenario(taken.getsockname()[1]))


def follow(url):
    """What a browser does, in a process of its own, so that nothing here waits for it."""
    code = "import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=20).read()"
    subprocess.Popen([sys.executable, "-c", code, url]).wait(30)
    return True


def test_the_whole_login_through_a_browser_and_the_listener(tmp_path):
    said = []

    async def ask(question):
        raise AssertionError(question)

    with protected() as world:
        spec = spec_for(world, tmp_path)
        assert once(spec, person=Terminal(said.append, ask, opens=follow)) == 200
        first = world.forms("/authorize")[0]["redirect_uri"]
        world.refreshes.clear()
        for token in world.tokens.values():
            token["good"] = False
        assert once(spec, person=Terminal(said.append, ask, opens=follow)) == 200
        second = world.forms("/authorize")[1]["redirect_uri"]
        assert len(world.forms("/register")) == 1
    assert first == second  # registered once, so the same address is listened at again
    assert len(urlsplit(first).path) > len("/callback/")
    assert f"http://127.0.0.1:{urlsplit(world.issuer).port}/authorize" in said[0]
    assert "To log in to crm" in said[0]


def test_a_client_of_the_config_comes_back_to_a_path_that_can_be_registered(tmp_path):
    async def ask(question):
        raise AssertionError(question)

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with protected() as world:
        uri = f"http://127.0.0.1:{port}/callback"
        world.clients["mine"] = {"redirect_uris": [uri]}
        spec = spec_for(world, tmp_path, client_id="mine", redirect_port=port)
        assert once(spec, person=Terminal(lambda _: None, ask, opens=follow)) == 200


def test_where_no_browser_is_the_address_is_pasted(tmp_path):
    said, answers = [], []

    async def ask(question):
        said.append(question)
        if not answers:
            page = next(word for word in " ".join(said).split() if "/authorize" in word)
            async with httpx2.AsyncClient() as client:
                answers.extend(["what?", (await client.get(page)).headers["location"]])
        return answers.pop(0)

    with protected() as world:
        spec = spec_for(world, tmp_path)
        assert once(spec, person=Terminal(said.append, ask, opens=None)) == 200
    assert any("copy its whole address" in text for text in said)
    assert any("That is not it" in text for text in said)


def test_who_pastes_nothing_is_told_so(tmp_path):
    async def ask(question):
        return ""

    with protected() as world:
        person = Terminal(lambda _: None, ask, opens=None)
        with pytest.raises(LoginFailedError, match="was not pasted"):
            once(spec_for(world, tmp_path), person=person)


def test_nobody_is_waited_for_without_end(tmp_path):
    async def ask(question):
        raise AssertionError(question)

    with protected() as world:
        person = Terminal(lambda _: None, ask, opens=lambda _: True, seconds=0.05)
        with pytest.raises(LoginFailedError, match="nobody logged in to crm within"):
            once(spec_for(world, tmp_path), person=person)


def test_leaving_ends_a_login_that_waits_for_a_person(tmp_path):
    asked = []

    async def ask(question):
        asked.append(question)
        await asyncio.Event().wait()

    async def scenario(spec):
        person = Terminal(lambda _: None, ask, opens=None)
        async with client_of(spec, person=person) as client:
            call = asyncio.ensure_future(post(client, spec.url))
            while not asked:
                await asyncio.sleep(0.005)
            call.cancel()
            await asyncio.wait([call])

    with protected() as world:
        asyncio.run(asyncio.wait_for(scenario(spec_for(world, tmp_path)), 10))


def test_a_browser_is_started_without_a_shell(tmp_path, monkeypatch):
    script = tmp_path / "browser"
    script.write_text('#!/bin/sh\nprintf "%s" "$#:$1" > "$(dirname "$0")/opened"\n')
    script.chmod(0o755)
    code = (
        "import sys; from agent_host.servers.login.browser import open_browser;"
        "print(open_browser(sys.argv[1]))"
    )
    url = "https://a.example/x?a=1&b=%24%28touch%20pwned%29"
    done = subprocess.run(
        [sys.executable, "-c", code, url],
        env={"PATH": os.defpath, "BROWSER": str(script)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "True\n"
    assert (tmp_path / "opened").read_text() == f"1:{url}"
    for bad in ("javascript:alert(1)", "-x", "https://a b/", "https:///x", "https://a/\u202e"):
        with pytest.raises(LoginFailedError):
            open_browser(bad)


def test_a_browser_that_cannot_be_started_is_no_browser(monkeypatch):
    def broken(self, url):
        raise OSError("exec")

    class Named:
        name = "/usr/bin/w3m"
        open = broken

    monkeypatch.setattr(browser_module.webbrowser, "get", Named)  # would take the terminal
    assert open_browser("https://a.example/") is False
    Named.name = "firefox"
    assert open_browser("https://a.example/") is False


def test_a_parameter_that_is_there_twice_is_the_first():
    assert parameters("http://h/?code=1&code=2&state=") == {"code": "1", "state": ""}
