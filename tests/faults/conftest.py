import pytest

from tests.faults.stage import Nursery, Stage


@pytest.fixture(scope="module")  # tests of other files count the processes that there are
def nursery():
    one = Nursery()
    yield one
    one.close()


@pytest.fixture
def stage(tmp_path, nursery):
    return Stage(tmp_path / "work", nursery)
