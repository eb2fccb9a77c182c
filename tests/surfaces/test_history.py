import stat

from agent_host.surfaces.prompt import history_at


def test_the_file_of_the_history_is_private_and_holds_what_was_typed_without_secrets(tmp_path):
    path = tmp_path / "data" / "chat-history"
    history = history_at(path, lambda text: text.replace("hunter2", "[secret:PIN]"))
    history.append_string("my pin is hunter2")
    assert list(history.get_strings()) == ["my pin is hunter2"]
    text = path.read_text()
    assert "hunter2" not in text
    assert "+my pin is [secret:PIN]" in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_history_that_cannot_be_written_is_remembered_all_the_same(tmp_path):
    path = tmp_path / "data" / "chat-history"
    history = history_at(path)
    path.unlink()
    path.parent.rmdir()
    history.append_string("typed")
    assert list(history.get_strings()) == ["typed"]
    history_at(path).append_string("half \udce4 character")
    assert "half ? character" in path.read_text()
