import time

import pytest

from agent_host.records.linear import LONGEST_MATCH, MOST, Expression, any_of, matcher


def found(pattern, text):
    return [text[start:end] for start, end, _ in Expression("name", pattern).find(text)]


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("ACME-[0-9]{16}", "x ACME-1234567890123456, y", ["ACME-1234567890123456"]),
        ('"pw": "[^"]+"', '{"pw": "hunter2!x", "pw": "b"}', ['"pw": "hunter2!x"', '"pw": "b"']),
        ("[a-z]+-key", "see foo-key and bar-key", ["foo-key", "bar-key"]),
        ("^key .*$", "a key\nkey abc\nb", ["key abc"]),
        ("é+", "xééy\ud800é", ["éé", "é"]),
        ("(?i)secret [0-9]+", "SECRET 12\nSecret 3", ["SECRET 12", "Secret 3"]),
        ("a", "", []),
    ],
)
def test_a_match_is_found_as_long_as_it_goes(pattern, text, matches):
    assert found(pattern, text) == matches


def test_a_match_in_a_long_line_is_found_whole_wherever_it_stands():
    for place in (0, 4000, 4090, 4096, 9000, 49_980):
        text = "." * place + "ACME-1234567890123456" + "." * (50_000 - place)
        spans = {(start, end) for start, end, _ in Expression("n", "ACME-[0-9]{16}").find(text)}
        assert (place, place + 21) in spans, place


def test_a_match_that_is_too_long_takes_the_line():
    text = "a" * (LONGEST_MATCH + 200) + "b"
    assert found("a+b", f"x\n{text}\ny") == [text]


def test_after_many_matches_whole_lines_are_taken():
    line = "a1 " * 800
    spans = list(Expression("n", "a[0-9]").find(f"{line}\n{line}\n{line}\nno\n"))
    assert len(spans) <= MOST + 4
    covered = sum(end - start for start, end, _ in spans)
    assert covered >= 2 * MOST + len(line)


def test_the_worst_expression_and_text_take_little_time():
    before = time.process_time()
    assert found("(a+)+b", "a" * 100_000) == []
    assert found("(a|a)*c", "a" * 5000 + "\n" + "a" * 5000) == []
    assert time.process_time() - before < 2


@pytest.mark.parametrize("pattern", ["(?<=a)b", r"(a)\1", "(", "[a", "(a{1000}){1000}"])
def test_what_the_engine_does_not_know_is_said(pattern):
    with pytest.raises(ValueError, match="linear time"):
        matcher(pattern)


def test_exact_texts_are_found_whatever_they_hold():
    matches = any_of(["a.b*[", "é \n\0", "\\"])
    assert [matches(t) for t in ("xa.b*[x", "axb", "é \n\0", "é", "a\\b")] == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert not any_of([])("a")
