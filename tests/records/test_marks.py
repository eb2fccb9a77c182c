import hashlib
import stat
from concurrent.futures import ThreadPoolExecutor

from agent_host.records.marks import FOUND, KEY_BYTES, MARK, Marks, user_key


def test_the_same_secret_has_the_same_mark_and_another_one_another():
    marks = Marks(lambda: b"k" * KEY_BYTES)
    first = marks.mark("github-token", "ghp_a")
    assert FOUND.fullmatch(first)
    assert MARK.fullmatch(first)
    assert first == marks.mark("password", "ghp_a")
    assert first != marks.mark("github-token", "ghp_b")
    assert first == Marks(lambda: b"k" * KEY_BYTES).mark("github-token", "ghp_a")
    assert first != Marks(lambda: b"x" * KEY_BYTES).mark("github-token", "ghp_a")


def test_a_mark_is_no_plain_hash_of_the_secret():
    mark = Marks().mark("k", "hunter2")
    digits = mark.rsplit(":", 1)[1].removesuffix("]")
    for name in ("md5", "sha1", "sha256", "sha512", "blake2b"):
        assert digits not in hashlib.new(name, b"hunter2").hexdigest()


def test_two_secrets_never_share_a_mark():
    marks = Marks(lambda: b"k" * KEY_BYTES)
    made = {marks.mark("k", str(number)) for number in range(20_000)}
    assert len(made) == 20_000
    assert {len(mark.rsplit(":", 1)[1]) for mark in made} == {7, 9}


def test_a_kind_that_a_config_named_makes_a_sound_mark():
    assert FOUND.fullmatch(Marks().mark("my kind]\n[x", "v"))


def test_values_are_kept_only_where_they_are_wanted():
    kept, not_kept = Marks(keep=True), Marks()
    assert kept.values == {kept.mark("k", "v"): "v"}
    not_kept.mark("k", "v")
    assert not_kept.values == {}


def test_the_key_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "data" / "secrets.key"
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: user_key(path), range(16)))
    assert len(keys) == 1
    assert len(keys.pop()) == KEY_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_without_a_file_the_key_is_one_of_this_process(tmp_path):
    (tmp_path / "file").write_text("")
    assert len(user_key(tmp_path / "file" / "key")) == KEY_BYTES
    (tmp_path / "short").write_bytes(b"abc")
    assert user_key(tmp_path / "short") != user_key(tmp_path / "short")
    (tmp_path / "real").write_bytes(b"r" * KEY_BYTES)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert user_key(tmp_path / "link") != b"r" * KEY_BYTES
