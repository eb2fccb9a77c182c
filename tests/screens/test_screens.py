"""Each moment that there is a picture of, at each size: what must be there is there."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.screens.__main__ import FOLDER
from tests.screens.pictures import DARK, picture_of, text_of
from tests.screens.scenes import SCENES, SIZES, Scene, flat, played


@pytest.mark.parametrize(("columns", "lines"), SIZES)
@pytest.mark.parametrize("scene", SCENES, ids=[scene.name for scene in SCENES])
def test_what_a_scene_is_about_is_seen_at_every_size(
    scene: Scene, columns: int, lines: int, tmp_path: Path
) -> None:
    with played(scene, tmp_path, columns, lines) as terminal:
        shown = flat(terminal.text)
        for words in scene.seen:
            assert flat(words) in shown, terminal.text
        for words in ("Traceback", "a bug in agent-host"):
            assert flat(words) not in shown, terminal.text
        rows = terminal.rows
    drawn = ET.fromstring(picture_of(rows, DARK, scene.what))
    words = "".join(part.text or "" for part in drawn.findall(".//{*}text"))
    assert flat(words) == flat(text_of(rows))


def test_every_scene_has_its_text_and_its_picture_at_every_size() -> None:
    wanted = {
        f"{scene.name}-{columns}x{lines}{suffix}"
        for scene in SCENES
        if scene.kept
        for columns, lines in SIZES
        for suffix in (".txt", ".svg")
    }
    assert {file.name for file in FOLDER.iterdir()} - {"README.md"} == wanted
