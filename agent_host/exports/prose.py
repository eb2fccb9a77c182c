"""The Markdown of an answer as HTML that can do nothing, or as Markdown that can do nothing.

Theory of operation: markdown-it renders with raw HTML off and pictures off (nothing is ever
fetched); a link is one only to http, https or mailto, says its host beside its text, and tells the
other side nothing. Markdown makes characters out of entities (`&#x202e;`) and of escapes in
addresses: what it made is cleaned again, or, where another program will render it, stays text. What
is too long to be worth parsing is shown as it is. Sources: CommonMark 0.31; markdown-it-py's
`validateLink`, which is replaced by a list of what is allowed.
"""

import functools
import html
import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from agent_host.core.text import clean, clean_line

_LONGEST = 50_000
"""Characters that are parsed as Markdown."""

_ALLOWED = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)
_LINK = re.compile(r"\]\((?!\s*(?:https?://|mailto:))", re.IGNORECASE)
_DEFINITION = re.compile(r"\](?=:(?!\s*(?:https?://|mailto:)))", re.IGNORECASE)
_ENTITY = re.compile(r"&(?=#?\w{1,40};)")


def to_html(text: str) -> str:
    """Return cleaned Markdown as HTML."""
    if len(text) > _LONGEST:
        return f"<pre>{html.escape(text)}</pre>"
    return str(_parser().render(text))


def quoted(text: str) -> Iterator[str]:
    """Yield the lines of a quote in Markdown that holds cleaned Markdown: outside of its own code,
    HTML, pictures and links to other than http and mailto are text."""
    lines = text.split("\n")
    # As it will stand in the quote: a tab is as wide as the place where it stands makes it, and
    # may there end code that goes on where the text stands by itself.
    code = _code_lines("\n".join(f"> {line}" for line in lines))
    for number, line in enumerate(lines):
        safe = line if number in code else _harmless(line)
        yield f"> {safe}".rstrip()


def _harmless(line: str) -> str:
    # Formulas and comments of some programs go over what others take for the start of code.
    line = line.replace("$$", "\\$\\$").replace("%%", "\\%\\%")
    safe = _ENTITY.sub("&amp;", line).replace("<", "&lt;").replace("![", "!\\[")
    return _DEFINITION.sub(r"]\\", _LINK.sub(r"]\\(", safe))


def _code_lines(text: str) -> set[int]:
    if len(text) > _LONGEST:
        return set()
    found: set[int] = set()
    for token in _parser().parse(text):
        if token.type == "fence" and token.map:
            # Not the fence itself: what stands behind it is the text of an info string.
            found.update(range(token.map[0] + 1, token.map[1]))
    return found


@functools.cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.disable(["image", "html_block", "html_inline"])
    parser.validateLink = _is_allowed  # type: ignore[method-assign]
    parser.add_render_rule("link_open", _link_open)
    parser.add_render_rule("text", _text)
    parser.add_render_rule("fence", _fence)
    parser.add_render_rule("code_block", _fence)
    return parser


def _is_allowed(url: str) -> bool:
    return _ALLOWED.match(url) is not None


def _link_open(
    _renderer: RendererHTML, tokens: Sequence[Token], place: int, _o: OptionsDict, _e: EnvType
) -> str:
    url = str(tokens[place].attrGet("href") or "")
    try:
        host = urlsplit(url).hostname or urlsplit(url).path
    except ValueError:
        host = "?"
    return (
        f'<a class="out" rel="noopener noreferrer nofollow" target="_blank" '
        f'href="{html.escape(url)}" data-host="{html.escape(clean_line(host, 100))}">'
    )


def _text(
    _renderer: RendererHTML, tokens: Sequence[Token], place: int, _o: OptionsDict, _e: EnvType
) -> str:
    return html.escape(clean(tokens[place].content))


def _fence(
    _renderer: RendererHTML, tokens: Sequence[Token], place: int, _o: OptionsDict, _e: EnvType
) -> str:
    return block(html.escape(tokens[place].content.removesuffix("\n")))


def block(escaped: str, kind: str = "") -> str:
    """Return a block of escaped text with its button to copy it."""
    which = f' class="{kind}"' if kind else ""
    return (
        '<div class="block"><button type="button" class="copy">Copy</button>'
        f'<pre tabindex="0"{which}>{escaped}</pre></div>'
    )
