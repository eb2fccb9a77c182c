import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.surfaces.highlight import Painter, painter
from agent_host.surfaces.palette import Palette
from tests.fakes.work import calls
from tests.surfaces.test_terminal import SGR

STRING, COMMENT, KEYWORD = "\x1b[32m", "\x1b[2m", "\x1b[35m"


def paint(language: str) -> Painter:
    made = painter(language, Palette())
    assert made is not None
    return made


def test_words_of_a_language_have_colours() -> None:
    line = paint("python")('def f(): return "x"  # why')
    assert f"{KEYWORD}def" in line
    assert f"{STRING}x" in line
    assert f"{COMMENT}# why" in line


def test_a_string_that_was_opened_above_goes_on_until_it_is_closed() -> None:
    line = paint("py")
    assert STRING in line('x = """first')
    assert line("def inside") == f"{STRING}def inside\x1b[0m"
    assert line("") == ""
    assert line("still") == f"{STRING}still\x1b[0m"
    assert STRING in line('end"""')
    assert f"{KEYWORD}def" in line("def after(): pass")


def test_a_comment_that_was_opened_above_goes_on_until_it_is_closed() -> None:
    for language in ("c", "javascript", "css", "go", "rust", "sql", "java"):
        line = paint(language)
        line("/* first")
        assert line("return 1;").startswith(COMMENT), language
        line("*/")
        assert not line("return x;").startswith(COMMENT), language


def test_what_closes_in_its_line_leaves_nothing_open() -> None:
    line = paint("python")
    line("x = 'a' + \"b\" # c")
    assert f"{KEYWORD}return" in line("return 1")


@pytest.mark.parametrize("language", ["", "text", "nosuch", "python'; rm", "ünï"])
def test_a_language_that_is_not_known_has_no_colours(language: str) -> None:
    assert painter(language, Palette()) is None


@pytest.mark.parametrize("info", ["Python", "python title=x", "python{1,2}", " py "])
def test_a_language_is_known_by_the_first_word_of_a_fence(info: str) -> None:
    assert painter(info, Palette()) is not None


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(
        ["python", "js", "html", "bash", "yaml", "json", "php", "diff", "c", "sql", "md"]
    ),
    st.lists(
        st.sampled_from(['"""', "/*", "*/", "'", '"', "<script>", "<<EOF", "#", "$(", "{", "`"])
        | st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20),
        max_size=12,
    ),
)
def test_the_text_stays_as_it_is_whatever_the_colours(language: str, lines: list[str]) -> None:
    made = painter(language, Palette())
    for line in lines:
        if made is not None:
            assert SGR.sub("", made(line)) == line


def test_what_is_too_long_is_left_as_it_is() -> None:
    line = paint("python")
    assert line("x = 1 #" + "y" * 500) == "x = 1 #" + "y" * 500
    for _ in range(2000):
        line("x = 1")
    assert line("x = 1") == "x = 1"


def test_a_line_costs_the_same_wherever_it_stands() -> None:
    def cost(lines: int) -> int:
        line = paint("python")
        line('x = """open')

        def work() -> None:
            for _ in range(lines):
                line("a line of a string that never ends, with words")

        return calls(work)

    cost(10)
    assert cost(1000) < 6 * cost(200)


def test_nothing_of_pygments_is_loaded_before_there_is_code() -> None:
    code = (
        "import sys; import agent_host.surfaces.terminal;"
        "from agent_host.surfaces.highlight import painter;"
        "from agent_host.surfaces.palette import Palette; painter('nosuch', Palette());"
        "heavy = ('pygments', 'rich.markdown', 'rich.console', 'markdown_it');"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
