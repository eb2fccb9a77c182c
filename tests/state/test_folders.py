import os
import stat

import pytest

from agent_host.state.folders import private_folder


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_each_missing_folder_is_made_for_its_owner_alone(tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    there.chmod(0o755)
    for _ in range(2):
        private_folder(there / "a" / "b")
    modes = [stat.S_IMODE((there / p).stat().st_mode) for p in (".", "a", "a/b")]
    assert modes == [0o755, 0o700, 0o700]


def test_a_file_in_its_place_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="file"):
            private_folder(path)
