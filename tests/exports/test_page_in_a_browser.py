"""An exported page in a real browser: nothing recorded acts, and readers find their way."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.exports.browser import ROOT, browser, opened
from tests.fakes.programs import agent_host
from tests.journeys.recordings import RECORDED
from tests.journeys.stage import call, stage

PICTURES = Path(__file__).parent / "pictures"
EVIL = (
    "<script>window.owned=1</script>",
    "</script><script>window.owned=2</script>",
    "<img src=x onerror='window.owned=3'>",
    "<svg onload=window.owned=4><animate onbegin=window.owned=5 /></svg>",
    "</pre></code></details><iframe srcdoc='<script>parent.owned=6</script>'></iframe>",
    "<a href='javascript:window.owned=7'>a</a>",
    "[b](javascript:window.owned=8) [c](data:text/html,<script>owned=9</script>)",
    "![d](http://127.0.0.1:9/pixel.png) <http://127.0.0.1:9/link>",
    "<style>body{display:none}@import url(http://127.0.0.1:9/css);</style>",
    "<meta http-equiv='refresh' content='0;url=http://127.0.0.1:9/away'>",
    "<base href='http://127.0.0.1:9/'><link rel=stylesheet href=http://127.0.0.1:9/a.css>",
    "<form action=http://127.0.0.1:9/><button>e</button></form>",
    "--> ]]> {{owned=10}} ${owned=11} &lt;b&gt; &#60;i&#62; \\u003cscript\\u003e",
    "`</code><script>window.owned=12</script>`",
    "\u202egnp.exe\u2066 \u200bhidden \x1b]0;title\x07",
    "x" * 3000,
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as started:
        yield started


def exported(folder: Path) -> Path:
    page = folder / "run.html"
    done = agent_host("transcripts", "export", "last", "-o", str(page), folder=folder)
    assert done.status == 0, done.err
    return page


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run in which user, model, server and arguments are all hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    evil = "\n\n".join(EVIL)
    stage(
        folder,
        {"reasoning": evil, "say": evil, "call": [call("look", **{evil[:60]: evil}), call("rude")]},
        {"say": "```html\n" + evil + "\n```\n\n| a |\n|---|\n| <script>window.owned=13</script> |"},
    )
    done = agent_host("run", "--trust", evil, folder=folder)
    assert done.status == 0, done.err
    return exported(folder)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a recorded run, always the same."""
    page = tmp_path_factory.mktemp("recorded") / "run.html"
    done = agent_host(
        *("transcripts", "export", RECORDED["approved"], "-o", str(page)),
        folder=page.parent,
        AGENT_HOST_CONFIG=str(ROOT / "servers.toml"),
    )
    assert done.status == 0, done.err
    return page


def test_nothing_that_was_recorded_acts_or_is_fetched(chromium: Browser, hostile: Path) -> None:
    asked: list[str] = []
    said: list[str] = []
    context = chromium.new_context()
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(hostile.as_uri())
    page.keyboard.press("e")
    for link in page.locator("main a").all():
        assert (link.get_attribute("href") or "").startswith(("#", "http://", "https://"))
    page.wait_for_load_state("networkidle")
    assert page.evaluate("typeof window.owned") == "undefined"
    assert asked == [hostile.as_uri()]
    assert said == []
    made = "document.querySelectorAll('main :is(script,style,iframe,svg,img,form,meta,base,link)')"
    assert page.evaluate(f"{made}.length") == 0
    assert page.evaluate("document.querySelectorAll('script').length") == 1
    assert page.evaluate("getComputedStyle(document.body).display") != "none"
    context.close()


def test_everything_hostile_is_there_to_be_read(chromium: Browser, hostile: Path) -> None:
    with opened(chromium, hostile) as page:
        page.keyboard.press("e")
        shown = page.evaluate("document.body.textContent")
        for text in EVIL[:4]:
            assert text in shown
        assert "\\u{202e}" in shown
        for character in "\u202e\u2066\u200b\x1b\x07":
            assert character not in shown


@pytest.mark.parametrize("width", [1280, 768, 375])
def test_a_page_is_never_wider_than_its_window(
    chromium: Browser, hostile: Path, width: int
) -> None:
    with opened(chromium, hostile, width=width) as page:
        page.keyboard.press("e")
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width


def test_a_search_unfolds_what_it_finds(chromium: Browser, recorded: Path) -> None:
    with opened(chromium, recorded) as page:
        inside = page.locator("details.call").first
        assert not inside.evaluate("one => one.open")
        page.keyboard.press("/")
        page.keyboard.type("standing desk mat")
        page.keyboard.press("Enter")
        assert page.locator("#hits").inner_text().startswith("1 of ")
        assert inside.evaluate("one => one.open")
        page.locator("#find").fill("there is nothing like it")
        page.keyboard.press("Enter")
        assert page.locator("#hits").inner_text() == "no hits"


def test_calls_unfold_and_fold(chromium: Browser, recorded: Path) -> None:
    with opened(chromium, recorded) as page:
        call = page.locator("details.call").first
        call.locator("> summary").click()
        assert call.evaluate("one => one.open")
        page.locator("#collapse").click()
        assert page.locator("main details[open]").count() == 0
        page.locator("#expand").click()
        assert page.locator("main details:not([open])").count() == 0


def test_only_the_turns_with_approvals_can_be_shown(chromium: Browser, recorded: Path) -> None:
    with opened(chromium, recorded) as page:
        before = page.locator("main > article:visible").count()
        page.locator("#show").select_option("approval")
        shown = page.locator("main > article:visible")
        assert 0 < shown.count() < before
        page.locator("#show").select_option("error")
        assert page.locator("#nothing").is_visible()


def test_dark_and_light_are_the_systems_until_the_reader_chooses(
    chromium: Browser, recorded: Path
) -> None:
    def paper(page: Page) -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    with opened(chromium, recorded) as light, opened(chromium, recorded, scheme="dark") as dark:
        assert paper(light) != paper(dark)
        chosen = paper(dark)
        light.keyboard.press("t")
        assert paper(light) == chosen


def test_a_page_is_whole_without_its_script(chromium: Browser, recorded: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(recorded.as_uri())
    page.locator("details.call > summary").first.click()
    assert page.get_by_text("Standing desk mat").first.is_visible()
    context.close()


DIFFERENCE = """async ([one, two]) => {
    const load = (data) => new Promise((done) => {
        const image = new Image();
        image.onload = () => done(image);
        image.src = "data:image/png;base64," + data;
    });
    const pixels = (image) => {
        const canvas = new OffscreenCanvas(image.width, image.height);
        const context = canvas.getContext("2d");
        context.drawImage(image, 0, 0);
        return context.getImageData(0, 0, image.width, image.height).data;
    };
    const [a, b] = [await load(one), await load(two)];
    if (a.width !== b.width || a.height !== b.height) return 1;
    const [p, q] = [pixels(a), pixels(b)];
    let other = 0;
    for (let i = 0; i < p.length; i += 4)
        if ([0, 1, 2].some((part) => Math.abs(p[i + part] - q[i + part]) > 24)) other += 1;
    return other * 4 / p.length;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_a_page_looks_as_it_did(
    chromium: Browser, recorded: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    kept = PICTURES / f"approved-{width}-{scheme}.png"
    with opened(chromium, recorded, width=width, height=2000, scheme=scheme) as page:
        page.locator("details.asked > summary").click()
        page.locator("details.asked > summary").blur()
        taken = page.screenshot(animations="disabled")
        if not kept.exists():  # taken anew: `rm tests/exports/pictures/*.png`, then run this
            kept.write_bytes(taken)
            pytest.fail(f"{kept.name} was not there and is now: look at it, and keep it")
    pair = [base64.b64encode(data).decode() for data in (kept.read_bytes(), taken)]
    context = chromium.new_context()
    assert context.new_page().evaluate(DIFFERENCE, pair) < 0.01
    context.close()
