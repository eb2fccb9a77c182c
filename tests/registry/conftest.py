"""A registry on loopback, and the command line that asks it."""

from collections.abc import Iterator

import pytest

from agent_host.registry.client import RegistryClient
from agent_host.registry.web import Web
from tests.cli.conftest import cli, environment, here, project
from tests.fakes.registry_server import Registry, real_entries, serving

__all__ = ["cli", "environment", "here", "project"]


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving(Registry()) as served:
        yield served


@pytest.fixture
def full(registry: Registry) -> Registry:
    """A registry with the real entries."""
    for entry in real_entries():
        registry.publish(entry)
    return registry


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def web(pauses: list[float]) -> Iterator[Web]:
    with Web(sleep=pauses.append) as opened:
        yield opened


@pytest.fixture
def client(registry: Registry, web: Web) -> RegistryClient:
    return RegistryClient(registry.url, web)
