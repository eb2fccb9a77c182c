"""The suite's runs, shared by the tests of this folder."""

import pytest

from tests.mcp_conformance.suite import Run, Runs


@pytest.fixture(scope="session")
def runs(request, tmp_path_factory):
    """Begins every run that a selected test asks for."""
    runs = Runs(tmp_path_factory.mktemp("conformance"))
    asked = (getattr(item, "callspec", None) for item in request.session.items)
    runs.begin(v for spec in asked if spec for v in spec.params.values() if isinstance(v, Run))
    yield runs
    runs.close()
