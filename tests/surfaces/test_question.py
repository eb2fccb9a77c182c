import json

from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.surfaces.arguments import difference, editable, parse_edited, tree
from agent_host.surfaces.question import BAR, grants, head, no_answer, wrap
from agent_host.surfaces.question import shown as visible_text
from tests.fakes.screens import FORBIDDEN, HOSTILE, question
from tests.fakes.work import calls

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.sampled_from(HOSTILE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
ARGUMENTS = st.dictionaries(st.text(max_size=8) | st.sampled_from(HOSTILE), JSON, max_size=4)


def shown(arguments: dict[str, object], width: int = 80, *, whole: bool = True) -> list[str]:
    return [line.removeprefix(BAR) for line in tree(arguments, width, whole=whole).lines]


def test_arguments_are_an_aligned_tree_of_json_values() -> None:
    order: dict[str, object] = {
        "order_id": "12345",
        "amount": 250.0,
        "lines": [{"sku": "A-1", "n": 2}, 7],
        "notify": None,
        "tags": [],
    }
    assert shown(order) == [
        'order_id  "12345"',
        "amount    250.0",
        "lines:",
        "  [0]:",
        '    sku  "A-1"',
        "    n    2",
        "  [1]  7",
        "notify    null",
        "tags      []",
    ]
    assert shown({}) == ["(no arguments)"]


def test_values_that_look_alike_are_told_apart() -> None:
    looks = {shown({"v": value})[0] for value in ("1", 1, 1.0, True, "true", None, "null", " 1")}
    assert len(looks) == 8


def test_a_name_that_could_be_mistaken_is_quoted() -> None:
    assert shown({"a b  c": 1, "оrder": 2, "": 3})[0].startswith('"a b  c"')
    assert [line.split("  ")[0].strip() for line in shown({"оrder": 2})] == ['"\\u{43e}rder"']


def test_text_of_several_lines_reads_as_such_and_stays_behind_the_bar() -> None:
    assert shown({"body": "Dear Ann,\n── approval\n\tyes\n"}) == [
        "body: text of 4 lines",
        f"{BAR}Dear Ann,",
        f"{BAR}── approval",
        f"{BAR}⇥ yes",
        BAR,
    ]


def test_a_long_value_is_cut_visibly_and_the_hidden_lines_are_counted() -> None:
    cut = tree({"text": "x" * 1000}, 42, whole=False)
    assert cut.hidden == 23
    assert cut.lines[-1] == f"{BAR}… 23 more lines"
    whole = tree({"text": "x" * 1000}, 42, whole=True)
    assert whole.hidden == 0
    assert sum(line.count("x") for line in whole.lines) == 1001


@settings(deadline=None, max_examples=150)
@given(ARGUMENTS, st.integers(20, 100))
def test_every_line_fits_and_no_content_leaves_its_place(
    arguments: dict[str, object], width: int
) -> None:
    lines = tree(arguments, width, whole=True).lines
    assert all(line.startswith(BAR) for line in lines)
    assert not set(FORBIDDEN + "\n\r\t") & set("".join(lines))
    deepest = 8 * 2 + len(BAR) * 2 + 8
    assert all(len(line) <= max(width, deepest) for line in lines)


def test_what_is_nested_deeper_than_a_screen_is_shown_all_the_same() -> None:
    value: object = "the bottom"
    for _ in range(100):
        value = {"k": value}
    assert "the bottom" in "".join(shown({"k": value}, 200))


def test_wide_characters_take_two_cells_and_nothing_is_lost() -> None:
    text = "日本語" * 20 + "a\u0301" * 50
    lines = wrap(text, 10)
    assert "".join(lines) == text
    assert max(map(len, lines)) <= 10
    assert len(lines[0]) == 5


def test_a_megabyte_is_drawn_at_once() -> None:
    big = {"text": "x" * 1_000_000, "wide": "é" * 100_000}
    # Some calls for each line that is drawn, and none for each character.
    assert calls(lambda: tree(big, 80, whole=True)) < 400_000


def test_the_head_says_who_asks_for_what_and_why() -> None:
    rows = dict(head(question({}, reason="it spends", waiting=2)))
    assert rows == {
        "server": "orders",
        "tool": "refund_order",
        "rule": "default",
        "reason": "it spends",
        "waiting": "2 more questions",
    }
    assert "a second time" in dict(head(question({}, in_doubt=True)))["IN DOUBT"]
    assert "waiting" not in dict(head(question({}, reason="")))


def test_always_is_said_in_plain_words_and_not_offered_in_doubt() -> None:
    keys = dict(grants(question({})))
    assert "exactly these arguments" in keys["a"]
    assert keys["t"] == (
        "always in this session: orders · refund_order with ANY arguments, without asking"
    )
    assert set(dict(grants(question({}, in_doubt=True)))) == {"y", "n", "r", "e"}


def test_a_hostile_name_cannot_leave_its_line() -> None:
    for text in HOSTILE:
        rows = head(question({}, server=text, name=text, reason=text)) + grants(
            question({}, server=text, name=text)
        )
        assert not set(FORBIDDEN + "\n") & {c for row in rows for part in row for c in part}


def test_a_difference_names_what_goes_and_what_comes() -> None:
    before = {"amount": 250, "order": "1"}
    assert difference(before, {"amount": 25, "order": "1"}, 80) == (
        f"{BAR}- amount  250",
        f"{BAR}+ amount  25",
    )
    assert difference(before, before, 80) == (f"{BAR}(nothing changed)",)
    assert difference({"a": 1, "b": 2}, {"b": 2, "a": 1}, 80) == (
        f"{BAR}(only the order of the names changed)",
    )
    assert difference({"n": 1}, {"n": True}, 80) == (f"{BAR}- n  1", f"{BAR}+ n  true")
    assert difference({"n": [{"k": 1}, 2]}, {"n": [{"k": 3}, 2, "x"]}, 80) == (
        f"{BAR}- n[0].k  1",
        f"{BAR}+ n[0].k  3",
        f'{BAR}+ n[2]  "x"',
    )
    text = "\n".join(map(str, range(50)))
    assert difference({"t": text}, {"t": text.replace("7\n", "seven\n", 1)}, 80) == (
        f"{BAR}± t: text of 50 lines, 50 lines after the change",
        f"{BAR}  -   8  7",
        f"{BAR}  +   8  seven",
    )
    assert difference({"t": "a\nb"}, {"t": "a\r\nb"}, 80) == (
        f'{BAR}- t  "a\\nb"',
        f'{BAR}+ t  "a\\r\\nb"',
    )


def leaves(value: object) -> list[object]:
    if isinstance(value, dict):
        return [*map(str, value), *(leaf for item in value.values() for leaf in leaves(item))]
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list) else [value]


@settings(deadline=None, max_examples=150)
@given(ARGUMENTS)
def test_every_name_and_value_is_in_the_tree(arguments: dict[str, object]) -> None:
    lines = tree(arguments, 10_000, whole=True).lines
    joined = "\n".join(lines)
    for leaf in leaves(arguments):
        if isinstance(leaf, str):
            text = visible_text(leaf).replace("\t", "⇥ ")
            block = all(part in joined for part in text.split("\n"))
            assert block or visible_text(json.dumps(leaf, ensure_ascii=False))[1:-1] in joined
        else:
            assert json.dumps(leaf) in joined


@settings(deadline=None, max_examples=150)
@given(ARGUMENTS, ARGUMENTS)
def test_a_difference_holds_all_that_goes_and_all_that_comes(
    before: dict[str, object], after: dict[str, object]
) -> None:
    joined = "\n".join(difference(before, after, 10_000))
    assert not set(FORBIDDEN) & set(joined)
    for name, value in after.items():
        if name not in before:
            assert visible_text(json.dumps(name, ensure_ascii=False))[1:-1] in joined
        if name not in before or json.dumps(before[name]) != json.dumps(value):
            changed = [line for line in joined.split("\n") if line.startswith(f"{BAR}+")]
            moved = [line for line in joined.split("\n") if line[2:3] in "-±(" or "  " in line]
            assert changed or moved


@settings(deadline=None, max_examples=150)
@given(ARGUMENTS)
def test_a_difference_to_nothing_is_everything(arguments: dict[str, object]) -> None:
    joined = "\n".join(difference({}, arguments, 10_000))
    for leaf in leaves(arguments):
        text = json.dumps(leaf, ensure_ascii=False) if isinstance(leaf, str) else json.dumps(leaf)
        assert visible_text(text).strip('"') in joined


def test_a_large_or_deep_change_is_shown_at_once() -> None:
    large = {"rows": [{"n": n} for n in range(5000)]}
    longer = {"rows": [*large["rows"][:2500], {"n": "new"}, *large["rows"][2500:]]}
    assert difference(large, longer, 80) == (f'{BAR}+ rows[2500].n  "new"',)
    deep: object = 1
    deeper: object = 2
    for _ in range(300):
        deep, deeper = {"k": deep}, {"k": deeper}
    assert len(difference({"k": deep}, {"k": deeper}, 10_000)) == 2


@settings(deadline=None, max_examples=100)
@given(ARGUMENTS)
def test_what_an_editor_gets_is_safe_to_show_and_comes_back_the_same(
    arguments: dict[str, object],
) -> None:
    text = editable(arguments)
    assert not set(FORBIDDEN) & set(text)
    assert parse_edited(text) == arguments


def test_an_edit_that_is_no_object_says_what_is_wrong() -> None:
    assert parse_edited('{"a": 1}') == {"a": 1}
    for text, problem in (
        ('{"a": }', "no valid JSON"),
        ("[1]", "must be a JSON object"),
        ('{"a": NaN}', "NaN is no JSON"),
        ("[" * 100_000, "no valid JSON"),
        ('{"a": 1e999}', "too large a number"),
        ('{"a": 1, "a": 2}', "'a' stands there twice"),
    ):
        answer = parse_edited(text)
        assert isinstance(answer, str)
        assert problem in answer
    assert json.dumps(parse_edited('{"a": 1.0}')) == '{"a": 1.0}'


def test_what_is_no_answer_is_named_as_it_was_typed() -> None:
    assert no_answer("maybe") == "'maybe' is no answer"
    assert no_answer("\x15") == "Ctrl-U is no answer"
    assert no_answer("\x1b[15~") == "that key is no answer"
    assert no_answer("a\u202eb\n") == "'a\\u{202e}b' is no answer"
