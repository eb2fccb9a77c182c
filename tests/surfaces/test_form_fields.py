import pytest

from agent_host.surfaces.form_fields import (
    MOST_CHOICES,
    MOST_FIELDS,
    Choice,
    Field,
    fields_of,
    looks_secret,
)
from tests.fakes.screens import FORBIDDEN, HOSTILE
from tests.fakes.typists import object_of


def field(definition: object, name: str = "x", **root: object) -> Field:
    fields = fields_of({**object_of(**{name: definition}), **root})
    assert not isinstance(fields, str), fields
    assert len(fields) == 1
    return fields[0]


def refused(schema: object) -> str:
    fields = fields_of(schema)  # type: ignore[arg-type]
    assert isinstance(fields, str), fields
    return fields


def values(found: Field) -> list[object]:
    return [choice.value for choice in found.choices]


def test_fields_keep_their_order_and_say_which_are_required() -> None:
    fields = fields_of(object_of(["b"], b={"type": "string"}, a={"type": "boolean"}))
    assert not isinstance(fields, str)
    assert [(f.name, f.kind, f.required) for f in fields] == [
        ("b", "text", True),
        ("a", "boolean", False),
    ]


def test_a_text_field_has_its_bounds_format_and_default() -> None:
    found = field(
        {
            "type": "string",
            "title": "E-mail",
            "description": "Where to?",
            "format": "email",
            "minLength": 3,
            "maxLength": 40,
            "pattern": "^a",
            "default": "a@b.example",
        }
    )
    assert (found.title, found.description, found.format) == ("E-mail", "Where to?", "email")
    assert (found.shortest, found.longest, found.pattern) == (3, 40, "^a")
    assert (found.has_default, found.default) == (True, "a@b.example")


def test_numbers_have_bounds_of_either_kind() -> None:
    found = field({"type": "integer", "minimum": 0, "exclusiveMaximum": 10, "multipleOf": 2})
    assert (found.kind, found.lowest, found.below, found.step) == ("integer", 0, 10, 2)
    assert field({"type": "number", "default": 0}).has_default


@pytest.mark.parametrize(
    ("definition", "titles"),
    [
        ({"type": "string", "enum": ["s", "l"]}, ["s", "l"]),
        ({"enum": ["s", "l"], "enumNames": ["Small", "Large"]}, ["Small", "Large"]),
        ({"type": "string", "enum": ["s", "l"], "enumNames": ["one too few"]}, ["s", "l"]),
        (
            {"oneOf": [{"const": "s", "title": "Small"}, {"const": "l", "title": " "}]},
            ["Small", "l"],
        ),
        ({"anyOf": [{"const": "s", "title": "Small"}, {"const": "l"}]}, ["Small", "l"]),
    ],
)
def test_every_form_of_a_choice_is_read(definition: object, titles: list[str]) -> None:
    found = field(definition)
    assert found.kind == "choice"
    assert values(found) == ["s", "l"]
    assert [choice.title for choice in found.choices] == titles


@pytest.mark.parametrize(
    "items",
    [
        {"type": "string", "enum": ["a", "b"]},
        {"anyOf": [{"const": "a", "title": "A"}, {"const": "b", "title": "B"}]},
        {"oneOf": [{"const": "a"}, {"const": "b"}]},
    ],
)
def test_a_list_of_choices_may_be_bounded_and_have_a_default(items: object) -> None:
    found = field({"type": "array", "items": items, "minItems": 1, "maxItems": 2, "default": ["b"]})
    assert (found.kind, values(found)) == ("choices", ["a", "b"])
    assert (found.fewest, found.most, found.default) == (1, 2, ["b"])


def test_a_choice_may_be_a_number_and_true_is_not_one() -> None:
    found = field({"enum": [1, True, 2.5], "default": True})
    assert found.choices == (Choice(1, "1"), Choice(True, "yes"), Choice(2.5, "2.5"))
    assert found.has_default
    assert not field({"enum": [1, 2], "default": True}).has_default


def test_or_null_means_that_a_field_may_be_left_out() -> None:
    for definition in (
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "title": "N"},
        {"type": ["integer", "null"], "minimum": 1, "title": "N"},
    ):
        found = field({**definition, "default": None})
        assert (found.kind, found.lowest, found.title) == ("integer", 1, "N")
        assert not found.has_default


def test_a_reference_into_the_form_is_followed_and_no_further() -> None:
    sizes = {"Size": {"type": "string", "enum": ["s"], "title": "Size"}}
    found = field({"$ref": "#/$defs/Size", "description": "How big?"}, **{"$defs": sizes})
    assert (values(found), found.title, found.description) == (["s"], "Size", "How big?")
    assert "not in the form" in refused(object_of(x={"$ref": "http://evil.example/s.json"}))
    loop = {**object_of(x={"$ref": "#/$defs/A"}), "$defs": {"A": {"$ref": "#/$defs/A"}}}
    assert "without end" in refused(loop)


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        ({"type": "object"}, 'field "x" is object'),
        ({"type": "array", "items": {"type": "string"}}, "offers no choices"),
        ({"type": "array"}, "a list of anything"),
        ({}, "of no type"),
        ({"type": ["string", "integer"]}, "is ['string', 'integer']"),
        ("text", "described by no object"),
        ({"type": "string", "not": {"const": "a"}}, "uses not"),
        ({"type": "string", "allOf": []}, "uses allOf"),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "offers no choices"),
        ({"enum": []}, "offers no choices"),
        ({"enum": list(range(MOST_CHOICES + 1))}, "choices, more than"),
    ],
)
def test_what_no_form_can_hold_is_refused_with_its_reason(definition: object, why: str) -> None:
    assert why in refused(object_of(x=definition))


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (None, "no object"),
        ([], "no object"),
        ({"type": "string"}, "no object"),
        ({"type": "object", "properties": []}, "no object"),
        ({**object_of(a={"type": "string"}), "if": {}}, "uses if"),
        ({**object_of(), "oneOf": []}, "uses oneOf"),
        (object_of(["gone"], a={"type": "string"}), 'requires a field "gone"'),
        (object_of(**{f"f{i}": {"type": "string"} for i in range(MOST_FIELDS + 1)}), "fields"),
    ],
)
def test_a_schema_beyond_a_flat_form_is_refused(schema: object, why: str) -> None:
    assert why in refused(schema)


def test_a_form_without_fields_is_a_form() -> None:
    assert fields_of({"type": "object", "properties": {}}) == ()


@pytest.mark.parametrize(
    "definition",
    [
        {"type": "integer", "default": 1.5},
        {"type": "integer", "default": True},
        {"type": "number", "default": "1"},
        {"type": "string", "default": 1},
        {"type": "boolean", "default": "yes"},
        {"enum": ["a"], "default": "b"},
        {"type": "array", "items": {"enum": ["a"]}, "default": ["a", "b"]},
        {"type": "array", "items": {"enum": ["a"]}, "default": "a"},
        {"type": "string", "title": "Password", "default": "x"},
    ],
)
def test_a_default_that_the_field_does_not_allow_is_none(definition: object) -> None:
    assert not field(definition).has_default


def test_words_of_another_type_are_not_believed() -> None:
    found = field({"type": "string", "title": 5, "minLength": "3", "maxLength": -1, "format": "x"})
    assert (found.label, found.shortest, found.longest, found.format) == ("x", 0, None, "")


@pytest.mark.parametrize(
    ("name", "title", "description"),
    [
        ("password", "", ""),
        ("userPassword", "", ""),
        ("x", "API key", ""),
        ("api_key", "", ""),
        ("githubToken", "", ""),
        ("x", "", "Paste your access token here"),
        ("cc", "Card number", ""),
        ("cvv", "", ""),
        ("pin", "", ""),
        ("x", "One-time code", ""),
        ("ssn", "", ""),
        ("x", "", "The private key of the deployment"),
    ],
)
def test_what_asks_for_a_secret_is_marked(name: str, title: str, description: str) -> None:
    assert field({"type": "string", "title": title, "description": description}, name).secret


@pytest.mark.parametrize(
    ("name", "title", "description"),
    [
        ("name", "Full name", "As in your passport"),
        ("max_tokens", "", "How many tokens the answer may have"),
        ("keyboard", "Keyboard layout", ""),
        ("shipping", "Pinned item", "The spinning wheel"),
        ("secretary", "Secretary", ""),
    ],
)
def test_ordinary_fields_are_not_marked(name: str, title: str, description: str) -> None:
    assert not field({"type": "string", "title": title, "description": description}, name).secret


def test_a_choice_is_never_a_secret() -> None:
    assert not looks_secret(field({"enum": ["a"], "title": "Token"}, "token"))


def test_no_hostile_text_gets_into_a_reason_or_a_label() -> None:
    for text in HOSTILE:
        assert not set(FORBIDDEN) & set(refused(object_of(**{text: {"type": text}})))
        assert not set(FORBIDDEN) & set(field({"type": "string", "title": text}).label)
