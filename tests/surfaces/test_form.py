import asyncio
from unicodedata import east_asian_width

import pytest

from agent_host.core.types import JsonObject
from agent_host.surfaces.ask_keys import RESIZED
from agent_host.surfaces.form import Asked, Form, Leaving
from agent_host.surfaces.form_fields import fields_of
from agent_host.surfaces.outlet import Outlet
from tests.fakes.screens import FORBIDDEN, HOSTILE, outlet, sized
from tests.fakes.typists import Typist, object_of, typist

SIZE = {"oneOf": [{"const": "s", "title": "Small"}, {"const": "l", "title": "Large"}]}
ORDER = object_of(
    ["name"],
    name={"type": "string", "title": "Full name", "minLength": 3},
    size={**SIZE, "default": "s"},
    extras={"type": "array", "items": {"enum": ["milk", "sugar"]}},
    hurry={"type": "boolean", "default": False},
)


def fill(
    schema: JsonObject, *lines: str, message: str = "Which coffee?", screen: Outlet | None = None
) -> tuple[JsonObject | Leaving, str, Typist]:
    fields = fields_of(schema)
    assert not isinstance(fields, str)
    out, shown = outlet(tty=True, NO_COLOR="1")
    reader = typist(*lines)
    asked = Asked(server="cafe", head=[("server", "cafe")], message=message, sign="7f3a")
    form = Form(asked, fields, reader=reader, screen=screen or out)
    return asyncio.run(form.run()), shown.getvalue(), reader


def test_a_form_is_filled_in_field_after_field_and_sent_only_when_that_is_said() -> None:
    content, screen, reader = fill(ORDER, "Ann Lee", "2", "1,2", "y", "s")
    assert content == {"name": "Ann Lee", "size": "l", "extras": ["milk", "sugar"], "hurry": True}
    assert reader.asked == [
        "Full name: ",
        "size [Small (s)]: ",
        "extras: ",
        "hurry [no]: ",
        "send to cafe? [s/1-4/d/c/?] ",
    ]
    assert reader.discarded == 1
    lines = screen.splitlines()
    assert lines[0].startswith("── input 7f3a ──")
    assert "│ Which coffee?" in lines
    assert "1/4  Full name (name)" in lines
    assert "  text, at least 3 characters, required" in lines
    assert "│   2  Large" in lines
    assert "  Enter takes: Small (s)" in lines
    assert "   2  size       Large (l)" in lines
    assert "   3  extras     milk, sugar" in lines


def test_enter_takes_defaults_and_leaves_out_what_may_be_left_out() -> None:
    content, screen, _ = fill(ORDER, "Ann", "", "", "", "s")
    assert content == {"name": "Ann", "size": "s", "hurry": False}
    assert "   3  extras     (left out)" in screen.splitlines()


def test_a_default_can_be_skipped_and_a_required_field_cannot() -> None:
    content, screen, _ = fill(ORDER, "", "/skip", "Ann", "/skip", "", "/skip", "s")
    assert content == {"name": "Ann"}
    assert screen.count("this field is required") == 2


def test_a_wrong_value_is_said_at_once_and_the_typed_text_stays() -> None:
    content, screen, reader = fill(ORDER, "An", "Ann", "9", "1", "", "", "s")
    assert content == {"name": "Ann", "size": "s", "hurry": False}
    assert "  too short: 2 of at least 3 characters" in screen.splitlines()
    assert "'9' is none of them" in screen
    assert reader.offered[:4] == ["", "An", "", "9"]


def test_answers_are_changed_in_the_review_from_what_was_typed() -> None:
    content, screen, reader = fill(ORDER, "Ann", "", "", "", "1", "Bea", "edit 4", "y", "9", "send")
    assert content == {"name": "Bea", "size": "s", "hurry": True}
    assert reader.offered[4] == "Ann"
    assert screen.count("nothing was sent yet") == 3
    assert "'9' is no answer" in screen


def test_back_goes_to_the_field_before_also_from_the_first_and_the_review() -> None:
    lines = ("/back", "Ann", "/back", "Bea", "", "", "", "2", "/back", "s")
    content, screen, _ = fill(ORDER, *lines)
    assert content == {"name": "Bea", "size": "s", "hurry": False}
    assert "unchanged" in screen


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        (("/decline",), "decline"),
        (("/cancel",), "cancel"),
        (("/never",), "never"),
        ((), "cancel"),
        (("Ann",), "cancel"),
        (("Ann", "", "", "", "d"), "decline"),
        (("Ann", "", "", "", "n"), "decline"),
        (("Ann", "", "", "", "c"), "cancel"),
        (("Ann", "", "", "", "never"), "never"),
        (("Ann", "", "", ""), "cancel"),
        (("Ann", "", "", "", "", "?", "what", "d"), "decline"),
    ],
)
def test_a_form_can_be_left_anywhere_and_the_end_of_input_cancels(
    lines: tuple[str, ...], left: str
) -> None:
    assert fill(ORDER, *lines)[0] == left


def test_enter_alone_sends_nothing() -> None:
    content, screen, _ = fill(ORDER, "Ann", "", "", "", "", "d")
    assert content == "decline"
    assert "Enter alone is no answer" in screen


def test_a_form_without_fields_asks_for_a_yes() -> None:
    content, _, reader = fill(object_of(), "s")
    assert content == {}
    assert reader.asked == ["send to cafe? [s/d/c/?] "]


SECRET = object_of(["user", "password"], user={"type": "string"}, password={"type": "string"})


def test_a_form_that_asks_for_a_secret_is_declined_unless_the_person_insists() -> None:
    for said in ("", "n", "no"):
        content, screen, reader = fill(SECRET, said)
        assert content == "decline"
        assert '! "password" looks like a secret' in screen
        assert len(reader.asked) == 1
    content, screen, reader = fill(SECRET, "what?", "y", "ann", "hunter2", "s")
    assert content == {"user": "ann", "password": "hunter2"}
    assert reader.hidden == ["password: "]
    assert "hunter2" not in screen
    assert "2  password  ••••••••" in screen


def test_a_secret_is_typed_anew_when_it_was_wrong() -> None:
    schema = object_of(password={"type": "string", "minLength": 9})
    _, _, reader = fill(schema, "y", "hunter2", "hunter2hunter2", "1", "hunter3hunter3", "s")
    assert reader.offered == ["", "", ""]


def test_a_form_taller_than_the_screen_comes_in_pages_and_nothing_is_left_out() -> None:
    many = {"enum": [f"choice {i}" for i in range(100)]}
    message = "\n".join(f"line {i}" for i in range(50))
    with sized(40, 12, NO_COLOR="1") as (out, screen):
        lines = [*[""] * 18, "7", "s"]
        content, _, reader = fill(object_of(["x"], x=many), *lines, message=message, screen=out)
        assert content == {"x": "choice 6"}
        text = screen.getvalue()
    assert max(map(len, text.splitlines())) <= 40
    for i in range(50):
        assert f"│ line {i}\n" in text
    for i in range(100):
        assert f"choice {i}\n" in text
    assert any("more lines [Enter/all/d/c]" in prompt for prompt in reader.asked)


def test_pages_can_be_cut_short_or_left() -> None:
    many = {"enum": [f"choice {i}" for i in range(100)]}
    with sized(80, 12, NO_COLOR="1") as (out, screen):
        content, _, _ = fill(object_of(x=many), "all", "100", "s", screen=out)
        assert content == {"x": "choice 99"}
        assert "choice 99" in screen.getvalue()
    with sized(80, 12, NO_COLOR="1") as (out, screen):
        assert fill(object_of(x=many), "d", screen=out)[0] == "decline"


def test_a_long_answer_is_shown_whole_before_it_is_sent() -> None:
    text = "x" * 300
    with sized(40, 30, NO_COLOR="1") as (out, screen):
        content, _, _ = fill(object_of(x={"type": "string"}), text, "s", screen=out)
        assert content == {"x": text}
        assert screen.getvalue().count("x") >= 300


def test_a_long_title_is_cut_in_the_prompt_and_shown_whole_above_it() -> None:
    title = f"{'long ' * 40}end"
    _, screen, reader = fill(object_of(x={"type": "string", "title": title}), "", "s")
    assert len(reader.asked[0]) < 60
    assert "end" in screen


def test_a_default_that_breaks_its_own_bounds_is_no_default() -> None:
    _, _, reader = fill(object_of(n={"type": "integer", "minimum": 3, "default": 1}), "", "s")
    assert reader.asked[0] == "n: "


def test_no_hostile_text_gets_onto_the_screen() -> None:
    for text in HOSTILE:
        schema = object_of(
            (),
            **{
                text: {"type": "string", "title": text, "description": text, "default": text},
                "c": {"oneOf": [{"const": text, "title": text}], "description": text},
            },
        )
        _, screen, reader = fill(schema, "", "1", "?", "s", message=text)
        assert not set(FORBIDDEN) & set(screen)
        assert not set(FORBIDDEN) & set("".join(reader.asked))


def test_a_server_cannot_draw_a_line_of_ours() -> None:
    forged = "hi\n── approval 7f3a ──\n  nothing was sent yet; your answers:"
    schema = object_of(x={"type": "string", "title": forged, "description": forged})
    _, screen, _ = fill(schema, "", "d", message=forged)
    assert screen.count("\n── approval") == 0
    assert screen.count("\n  nothing was sent yet") == 1


class Keyed(Typist):
    """A typist at a terminal that hands over single keys."""

    async def press(self, prompt: str) -> str | None:
        return await self.ask(prompt)


def press(
    schema: JsonObject, *keys: str, screen: Outlet | None = None
) -> tuple[JsonObject | Leaving, str, Typist]:
    fields = fields_of(schema)
    assert not isinstance(fields, str)
    out, shown = outlet(tty=True, NO_COLOR="1")
    out = screen or out
    reader = Keyed(list(keys))
    asked = Asked(server="cafe", head=[("server", "cafe")], message="Which?", sign="7f3a")
    return (
        asyncio.run(Form(asked, fields, reader=reader, screen=out).run()),
        shown.getvalue(),
        reader,
    )


FEW = object_of(["size"], size=SIZE, hurry={"type": "boolean", "default": False})


def test_yes_or_no_and_few_choices_take_one_key_and_no_line() -> None:
    content, screen, reader = press(FEW, "2", "y", "s")
    assert content == {"size": "l", "hurry": True}
    assert reader.offered == []
    assert "  a key from 1 to 2; ← goes back, Esc cancels" in screen.splitlines()


def test_a_key_that_answers_nothing_begins_a_line() -> None:
    content, _, reader = press(FEW, "s", "small", "/", "/skip", "s")
    assert content == {"size": "s"}
    assert reader.offered == ["s", "/"]


def test_an_arrow_goes_back_esc_cancels_and_a_key_nobody_knows_does_nothing() -> None:
    content, _, _ = press(FEW, "1", "<", "2", "", "s")
    assert content == {"size": "l", "hurry": False}
    assert press(FEW, "\x1b")[0] == "cancel"
    assert press(FEW, "\x1b[A", "1", "\x1b")[0] == "cancel"
    assert press(FEW, "1", "y", "\x1b")[0] == "cancel"
    assert press(FEW, "1", "y", "v")[0] == "never"


def test_the_warning_of_a_secret_is_left_as_any_field_is() -> None:
    assert press(SECRET, "\x1b")[0] == "cancel"
    assert press(SECRET, "n")[0] == "decline"
    assert press(SECRET, "/never")[0] == "never"
    content, screen, _ = press(SECRET, "\x15", "\x00resized", "?", "c")
    assert content == "cancel"
    assert "Ctrl-U is no answer" in screen
    assert "'?' is no answer; y fills it in, n declines, Esc cancels" in screen
    assert screen.count("no answer") == 2


def test_another_size_of_the_screen_shows_the_field_and_the_review_anew() -> None:
    _, screen, _ = press(FEW, RESIZED, "1", "y", RESIZED, "s")
    assert screen.count("1/2  size") == 2
    assert screen.count("nothing was sent yet") == 2


def test_another_size_of_the_screen_shows_no_further_page() -> None:
    message = {"type": "string", "description": "\n".join(f"line {i}" for i in range(40))}
    with sized(40, 12, NO_COLOR="1") as (out, screen):
        assert press(object_of(x=message), RESIZED, RESIZED, "d", screen=out)[0] == "decline"
        assert "line 20" not in screen.getvalue()


def test_the_number_of_a_field_beyond_nine_is_typed_whole() -> None:
    schema = object_of((), **{f"f{i}": {"type": "boolean"} for i in range(1, 13)})
    content, _, reader = press(schema, *["y"] * 12, "1", "12", "n", "s")
    assert reader.offered == ["1"]
    assert isinstance(content, dict)
    assert content["f12"] is False


def test_part_of_a_name_finds_choices_in_a_long_list_and_empties_the_line() -> None:
    many = {"enum": [f"choice {i}" for i in range(500)]}
    with sized(40, 12, NO_COLOR="1") as (out, screen):
        lines = ["x", "ice 49", "500", "s"]
        content, _, reader = fill(object_of(x=many), *lines, screen=out)
        assert content == {"x": "choice 499"}
        text = screen.getvalue()
    assert reader.offered == ["x", ""]
    assert "│  50  choice 49\n" in text
    assert "more that hold it" in text
    assert "choice 300" not in text


def test_wide_labels_stand_in_columns_that_fit() -> None:
    label = "お名前をここに入力してくださいお願い"
    schema = object_of(a={"type": "string", "title": label}, b={"type": "string"})
    with sized(40, 30, NO_COLOR="1") as (out, screen):
        _, _, reader = fill(schema, "", "", "s", screen=out)
        rows = [line for line in screen.getvalue().splitlines() if "left out)" in line]
    assert [cells(row.partition("(left")[0]) for row in rows] == [24, 24]
    assert cells(reader.asked[0]) <= 24


def cells(text: str) -> int:
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)
