"""The colours of a terminal's text: sixteen, so that the user's own palette rules.

Theory of operation: a role has a colour for dark screens, one for light ones, and one that is read
on either, as what `auto` finds: COLORFGBG says the background where a terminal sets it (rxvt,
Konsole and others), and else nothing is known. No background is ever painted. Colours are numbers
of SGR (ECMA-48 8.3.117), as text between `ESC [` and `m`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agent_host.surfaces.preferences import Theme

_LIGHT_GROUNDS = frozenset({"7", "15"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Colours by role, for code and for prose; empty: the usual one."""

    keyword: str = "35"
    string: str = "32"
    comment: str = "2"
    number: str = "36"
    name: str = "1"
    added: str = "32"
    removed: str = "31"
    code: str = "36"
    link: str = "4"
    quote: str = "35"


_PALETTES: Mapping[Theme, Palette] = {
    "auto": Palette(),
    "dark": Palette(keyword="95", string="92", number="96", name="1;94", code="96", link="4;94"),
    "light": Palette(number="34", name="1;34", code="34", link="4;34"),
}


def palette(theme: Theme, environ: Mapping[str, str]) -> Palette:
    """Return the colours for a theme at a terminal of that environment."""
    ground = environ.get("COLORFGBG", "").rpartition(";")[2]
    if theme == "auto" and ground.isdecimal():
        theme = "light" if ground in _LIGHT_GROUNDS else "dark"
    return _PALETTES[theme]
