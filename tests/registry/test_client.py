"""The API over real HTTP, and everything that a registry can do wrong."""

import os
from typing import Any

import pytest

from agent_host.registry.client import Page, RegistryClient
from agent_host.registry.web import Body, Fault, Web
from tests.fakes.registry_server import Registry, published_entries, serving


def every(client: RegistryClient, **where: str) -> list[Any]:
    return list(client.pages(**where))


def test_every_page_of_a_list_is_walked(registry: Registry, client: RegistryClient):
    for entry in published_entries():
        registry.publish(entry)
    pages = every(client)
    assert [len(page.entries) for page in pages] == [100, 100, 100, 100, 20]
    names = [entry["server"]["name"] for page in pages for entry in page.entries]
    assert sorted(names) == sorted(e["name"] for e in published_entries())
    assert all("version=latest" in query for query in registry.lists())


def test_only_what_changed_since_a_time_is_asked_for(full: Registry, client: RegistryClient):
    full.mark("io.snyk/cli-mcp", "deleted", "2026-04-01T00:00:00Z")
    (page,) = every(client, updated_since="2026-03-15T00:00:00Z")
    assert [entry["server"]["name"] for entry in page.entries] == ["io.snyk/cli-mcp"]


def test_versions_and_one_version_of_a_server_are_had(full: Registry, client: RegistryClient):
    name = "io.github.domdomegg/airtable-mcp-server"
    versions = client.versions(name)
    assert isinstance(versions, tuple)
    assert [raw["server"]["version"] for raw in versions] == ["1.7.3", "1.7.2"]
    latest, old = client.version(name), client.version(name, "1.7.2")
    assert isinstance(latest, dict)
    assert isinstance(old, dict)
    assert (latest["server"]["version"], old["server"]["version"]) == ("1.7.3", "1.7.2")
    assert any("airtable-mcp-server/versions" in path for path in full.asked)
    assert all("domdomegg%2Fairtable" in path for path in full.asked)


def test_a_server_that_is_not_there_is_a_fault_that_says_404(
    full: Registry, client: RegistryClient
):
    found = client.version("io.example/none")
    assert isinstance(found, Fault)
    assert found.status == 404
    assert found.text.endswith("answered HTTP 404: Server not found")
    assert isinstance(client.versions("io.example/none"), Fault)


def test_a_busy_registry_is_asked_again_as_it_wishes(
    full: Registry, client: RegistryClient, pauses: list[float]
):
    full.failing, full.retry_after = {1: 503, 2: 429}, "3"
    assert isinstance(client.page(), Page)
    assert pauses == [3.0, 3.0]


def test_a_registry_that_stays_broken_is_a_fault_after_a_few_tries(
    full: Registry, client: RegistryClient, pauses: list[float]
):
    full.failing = dict.fromkeys(range(1, 9), 500)
    found = client.page()
    assert isinstance(found, Fault)
    assert found.text.endswith("answered HTTP 500: no\\u{1b}[2Jw not")
    assert len(full.lists()) == 3
    assert pauses == [0.5, 1.0]


def test_a_registry_that_wants_a_long_wait_is_not_waited_for(
    full: Registry, client: RegistryClient, pauses: list[float]
):
    full.failing, full.retry_after = {1: 429}, "3600"
    assert isinstance(client.page(), Fault)
    assert pauses == []


def test_a_refusal_is_not_asked_again(full: Registry, client: RegistryClient):
    full.failing = {1: 400}
    assert isinstance(client.page(), Fault)
    assert len(full.lists()) == 1


def test_an_answer_that_breaks_off_is_asked_for_again(
    full: Registry, client: RegistryClient, pauses: list[float]
):
    full.broken = True
    found = client.page()
    assert isinstance(found, Fault)
    assert "cannot be reached" in found.text
    assert len(pauses) == 2


def test_a_registry_that_is_not_there_is_one_line(web: Web):
    with serving(Registry()) as gone:
        url = gone.url
    found = RegistryClient(url, web).page()
    assert isinstance(found, Fault)
    assert found.text.startswith(f"{url.removeprefix('http://')} cannot be reached (ConnectError")
    assert found.text.isprintable()


def test_a_cursor_that_comes_twice_ends_the_walk(full: Registry, client: RegistryClient):
    full.endless, full.size = True, 5
    *_, last = every(client)
    assert last == Fault("the registry's list goes in circles: a cursor came twice")
    assert len(full.lists()) < 5


def test_a_list_that_never_ends_is_left(
    registry: Registry, client: RegistryClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("agent_host.registry.client.MAX_PAGES", 7)
    registry.growing = True
    *_, last = every(client)
    assert last == Fault("the registry's list does not end after 7 pages")
    assert len(registry.lists()) == 7


def test_an_answer_of_more_bytes_than_a_page_may_have_is_refused(
    full: Registry, client: RegistryClient
):
    full.huge = 17 * 1024 * 1024
    found = client.page()
    assert isinstance(found, Fault)
    assert "more than 16777216 bytes" in found.text


def test_a_small_answer_that_unpacks_to_a_huge_one_is_refused(
    full: Registry, client: RegistryClient
):
    full.bomb = True
    found = client.page()
    assert isinstance(found, Fault)
    assert "more than 16777216 bytes" in found.text


def test_a_packed_answer_is_read(full: Registry, client: RegistryClient):
    full.zipped = True
    page = client.page()
    assert isinstance(page, Page)
    assert len(page.entries) == 24


def test_an_answer_that_comes_too_slowly_is_left(full: Registry):
    with Web(monotonic=iter((0.0, 31.0, 62.0)).__next__) as web:
        slow = RegistryClient(full.url, web).page()
    assert isinstance(slow, Fault)
    assert "took too long" in slow.text


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"<html>login</html>", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "is it an MCP registry?"),
        (b'{"servers": 1}', "is it an MCP registry?"),
        (b'{"servers": [], "metadata": {"nextCursor": 7}}', "a cursor that is none"),
        (b'{"servers": [' + b"{}," * 1001 + b"{}]}", "more than 1000 servers"),
        (b"\xff\xfe", "no JSON"),
    ],
)
def test_an_answer_that_is_no_list_is_a_fault(
    registry: Registry, client: RegistryClient, answer: bytes, why: str
):
    registry.nonsense = answer
    found = client.page()
    assert isinstance(found, Fault)
    assert why in found.text


def test_an_empty_list_of_null_is_an_empty_page(registry: Registry, client: RegistryClient):
    registry.nonsense = b'{"servers": null, "metadata": {"nextCursor": null}}'
    assert client.page() == Page((), "", registry.now)


def test_a_redirect_is_followed_on_this_machine_and_never_into_a_network(
    registry: Registry, web: Web
):
    registry.files["/b"] = b"here"
    registry.moved = {
        "/a": "/b",
        "/loop": "/loop",
        "/meta": "https://169.254.169.254/latest/",
        "/inside": "https://10.0.0.1/x",
        "/plain": "http://example.com/",
        "/file": "file:///etc/passwd",
    }
    body = web.get(registry.url + "/a", limit=10)
    assert isinstance(body, Body)
    assert body.data == b"here"
    said = {
        path: found.text
        for path in registry.moved
        if isinstance(found := web.get(registry.url + path, limit=10), Fault)
    }
    assert set(said) == {"/loop", "/meta", "/inside", "/plain", "/file"}
    assert said["/loop"].endswith("redirects in circles")
    assert said["/meta"].endswith("redirects into a network (169.254.169.254)")
    assert "into a network" in said["/inside"]
    assert "not https" in said["/plain"]


def test_a_token_is_not_sent_on_to_another_host(web: Web):
    with serving(Registry()) as first, serving(Registry()) as second:
        second.needs = {"/b": ("secret", "")}
        second.files["/b"] = b"x"
        first.moved = {"/a": second.url + "/b"}
        headers = {"Authorization": "Bearer secret"}
        found = web.get(first.url + "/a", limit=10, headers=headers)
    assert isinstance(found, Fault)
    assert found.status == 401


def test_a_proxy_of_the_environment_is_used(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    registry.files["http://localhost:9/x"] = b"by way of the proxy"
    registry.files["/x"] = b"by way of the proxy"
    monkeypatch.setenv("HTTP_PROXY", registry.url)
    with Web(sleep=lambda _: None) as web:
        found = web.get("http://localhost:9/x", limit=100)
    assert isinstance(found, Body), (found, os.environ.get("HTTP_PROXY"))
    assert found.data == b"by way of the proxy"
    assert registry.asked[-1] == "http://localhost:9/x"
