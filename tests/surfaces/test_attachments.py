import base64
import os
from pathlib import Path

import pytest

from agent_host.core.types import Image, Resource
from agent_host.surfaces.attachments import (
    MOST,
    dropped_path,
    file_mentions,
    picture_type,
    read_files,
)
from agent_host.surfaces.file_words import file_candidates

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "notes.md").write_text("milk\n")
    (tmp_path / "my file.txt").write_text("blank")
    (tmp_path / "shot.png").write_bytes(PNG)
    (tmp_path / "raw.bin").write_bytes(b"\0\1\2")
    (tmp_path / ".hidden").write_text("h")
    (tmp_path / "src" / "deep").mkdir(parents=True)
    (tmp_path / "src" / "deep" / "notebook.py").write_text("x = 1\n")
    return tmp_path


def named(text: str, folder: Path) -> list[str]:
    return [mention.written for mention in file_mentions(text, folder, {"shop"})]


def read(text: str, folder: Path, *, images: bool = True) -> tuple[list[object], str]:
    attached = read_files(file_mentions(text, folder, {"shop"}), images=images)
    return list(attached.content), attached.problem


def test_a_word_is_a_file_only_if_there_is_one(folder: Path) -> None:
    assert named("see @notes.md and @src/deep.", folder) == ["notes.md", "src/deep"]
    assert named("(@notes.md, @notes.md)", folder) == ["notes.md"]
    assert named("ask @ann about @types/node, a@notes.md, @shop:notes.md", folder) == []
    assert named('look at @"my file.txt" now', folder) == ["my file.txt"]
    assert named('@./gone.md @/gone @"gone too"', folder) == ["./gone.md", "/gone", "gone too"]


def test_text_pictures_and_folders_are_taken_along_as_what_they_are(folder: Path) -> None:
    content, problem = read("@notes.md @shot.png @src", folder)
    assert problem == ""
    notes, shot, src = content
    assert isinstance(notes, Resource)
    assert notes.text == "milk\n"
    assert notes.uri == (folder / "notes.md").as_uri()
    assert isinstance(shot, Image)
    assert base64.b64decode(shot.data) == PNG
    assert isinstance(src, Resource)
    assert src.text == "The folder src holds:\ndeep/"


def test_what_cannot_be_taken_along_says_why_and_nothing_is(folder: Path) -> None:
    assert read("@notes.md @./gone", folder) == ([], "./gone is not there; check the path")
    assert "neither text (UTF-8) nor a picture" in read("@raw.bin", folder)[1]
    assert "this model takes none; /model changes" in read("@shot.png", folder, images=False)[1]
    os.mkfifo(folder / "pipe")
    assert "is no file" in read("@pipe", folder)[1]
    for number in range(MOST + 1):
        (folder / f"f{number}").write_text("x")
    many = " ".join(f"@f{number}" for number in range(MOST + 1))
    assert f"{MOST} files along at most" in read(many, folder)[1]


def test_a_file_that_is_too_large_is_shortened_and_says_so(folder: Path) -> None:
    (folder / "long.txt").write_text("word " * 200_000)
    attached = read_files(file_mentions("@long.txt", folder, ()), images=True)
    assert attached.notes == ("long.txt  1,000,000 characters (shortened: it is too large)",)
    (block,) = attached.content
    assert len(getattr(block, "text", "")) < 300_000
    (folder / "huge.txt").write_bytes(b"x" * 10_000_001)
    assert "is larger than 10,000,000 bytes" in read("@huge.txt", folder)[1]


def test_a_picture_is_known_by_its_first_bytes() -> None:
    assert picture_type(PNG) == "image/png"
    assert picture_type(b"\xff\xd8\xff\xe0") == "image/jpeg"
    assert picture_type(b"RIFF\0\0\0\0WEBPVP8 ") == "image/webp"
    assert picture_type(b"GIF89a..") == "image/gif"
    assert picture_type(b"<svg>") == ""


def test_a_picture_that_is_dropped_on_the_terminal_is_named_as_terminals_paste_it(
    folder: Path,
) -> None:
    shot, blank = folder / "shot.png", folder / "a b.png"
    blank.write_bytes(PNG)
    assert dropped_path(f"{shot} ") == f"@{shot} "
    assert dropped_path(f"'{blank}'") == f'@"{blank}" '
    assert dropped_path(str(blank).replace(" ", "\\ ")) == f'@"{blank}" '
    assert dropped_path(blank.as_uri()) == f'@"{blank}" '
    for other in ("shot.png", str(folder / "notes.md"), f"{shot}\n{shot}", "", str(folder)):
        assert dropped_path(other) is None


def words(typed: str, folder: Path) -> list[str]:
    return [candidate.text for candidate in file_candidates(typed, folder)]


def test_files_are_offered_from_the_folder_that_is_named_and_from_those_below(
    folder: Path,
) -> None:
    assert words("not", folder) == ["@notes.md", "@src/deep/notebook.py"]
    assert words("src/", folder) == ["@src/deep/"]
    assert words("src/deep/n", folder) == ["@src/deep/notebook.py"]
    assert words("my", folder) == ['@"my file.txt"']
    assert words('"my', folder) == ['@"my file.txt"']
    assert words(".h", folder) == ["@.hidden"]
    assert "@.hidden" not in words("", folder)
    assert words("gone/x", folder) == []
    assert words("~nobody-here/x", folder) == []


def test_however_large_a_folder_is_only_so_much_of_it_is_looked_at(folder: Path) -> None:
    for number in range(5000):
        (folder / f"many{number:04}").touch()
    assert len(words("many", folder)) == 40


def test_a_link_out_of_the_folder_is_not_followed_and_says_where_it_leads(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "id_rsa").write_text("PRIVATE")
    (folder / "readme.md").symlink_to(elsewhere / "id_rsa")
    (folder / "lib").symlink_to(elsewhere)
    (folder / "same.md").symlink_to(folder / "notes.md")
    (folder / "round").symlink_to(folder / "round")
    for text in ("@readme.md", "@./readme.md", "@lib/id_rsa", "@lib/", '@"readme.md"'):
        content, problem = read(text, folder)
        assert content == []
        assert f"is a link to {elsewhere}" in problem
    assert len(read("@same.md", folder)[0]) == 1
    assert len(read(f"@{elsewhere}/id_rsa", folder)[0]) == 1
    assert "cannot be read" in read("@round", folder)[1]


def test_a_name_that_no_file_can_have_offers_nothing(folder: Path) -> None:
    assert file_candidates("a\0b/c", folder) == []
