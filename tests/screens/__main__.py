"""Play each scene at each size, and write what is seen to docs/screens.

`python -m tests.screens [NAME ...]`
"""

import sys
import tempfile
from pathlib import Path

from tests.screens.pictures import picture_of, text_of
from tests.screens.scenes import ROOT, SCENES, SIZES, played

FOLDER = ROOT / "docs" / "screens"


def main(names: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    for scene in SCENES:
        if not scene.kept or (names and scene.name not in names):
            continue
        for columns, lines in SIZES:
            with (
                tempfile.TemporaryDirectory() as folder,
                played(scene, Path(folder), columns, lines) as terminal,
            ):
                rows = terminal.rows
            file = FOLDER / f"{scene.name}-{columns}x{lines}"
            file.with_suffix(".txt").write_text(text_of(rows))
            file.with_suffix(".svg").write_text(picture_of(rows, scene.theme, scene.what))
            print(file.name)


if __name__ == "__main__":
    main(sys.argv[1:])
