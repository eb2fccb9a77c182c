"""What a package with an adapter of its own brings to the conformance suite: here an adapter that
is the offline one under another name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent_host.models import offline
from agent_host.models.settings import AdapterSettings
from tests.conformance.subjects import Plan, Playing, Subject


@contextmanager
def _play(plan: Plan, folder: Path) -> Iterator[Playing]:
    yield Playing(offline.create(AdapterSettings(provider="plugin", model="")))


SUBJECTS = [Subject("a plugin's", frozenset({"text"}), _play)]
