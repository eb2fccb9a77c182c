"""The Chromium that scripts/get_suite installed, with its own fonts and no network of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".conformance" / "browser"


@contextmanager
def browser(home: Path) -> Iterator[Browser]:
    """A browser whose pictures are the same on every machine."""
    own = {"HOME": str(home), "LD_LIBRARY_PATH": str(PLACE / "lib"), "PATH": os.environ["PATH"]}
    fonts = home / "fonts.conf"
    fonts.write_text(
        f"<fontconfig><dir>{PLACE / 'fonts'}</dir><cachedir>{home}/cache</cachedir></fontconfig>"
    )
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=PLACE / "chromium",
            args=["--no-sandbox", "--no-zygote", "--disable-gpu", "--font-render-hinting=none"],
            env={**own, "FONTCONFIG_FILE": str(fonts)},
        )
        try:
            yield started
        finally:
            started.close()


@contextmanager
def opened(
    started: Browser, file: Path, *, width: int = 1280, height: int = 900, scheme: str = "light"
) -> Iterator[Page]:
    """A page with a file in it; `width` and `height` in CSS pixels, `scheme`: dark or light."""
    context = started.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
        timezone_id="UTC",
        locale="en-US",
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    try:
        page.goto(file.as_uri())
        yield page
    finally:
        context.close()
