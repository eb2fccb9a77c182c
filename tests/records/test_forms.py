import base64

from agent_host.records.forms import LEAST_FORM, Needles, forms


def test_a_value_is_written_down_in_each_encoding_that_people_use():
    found = forms("p@ss \"w'd/+é")
    assert found[0] == "p@ss \"w'd/+é"
    assert {
        "p@ss \\\"w'd/+\\u00e9",
        "p%40ss%20%22w%27d%2F%2B%C3%A9",
        "p%40ss+%22w%27d%2f%2b%c3%a9",
        "p@ss &quot;w&#x27;d/+é",
        "p@ss &#34;w&#39;d/+é",
        "p@ss \"w'd/+é".encode().hex().upper(),
    } <= set(found)


def test_base64_is_found_at_each_place_of_the_three():
    for value in ("hunter2", "abcde", "x" * 31):
        found = forms(value)
        for before in (b"", b"a", b"ab", b"abc"):
            whole = base64.b64encode(before + value.encode() + b"zz").decode()
            assert any(form in whole for form in found), (value, before)


def test_a_form_that_would_occur_by_chance_is_not_looked_for():
    assert forms("abcd") == ("abcd", "61626364", "YWJjZA==")
    assert all(len(form) >= LEAST_FORM for form in forms("abcd")[1:])


def test_a_value_that_looks_like_anothers_form_keeps_its_own_name():
    needles = Needles()
    needles.add("68756e74657232", "[hex]")
    needles.add("hunter2", "[plain]")
    assert [mark for _, _, mark in needles.spans("68756e74657232 hunter2")] == ["[hex]", "[plain]"]
    needles.add("hunter2", "[renamed]")
    assert [mark for _, _, mark in needles.spans("hunter2")] == ["[renamed]"]
    assert (len(needles), "hunter2" in needles, "other" in needles) == (2, True, False)


def test_where_an_unfinished_form_begins_is_known_also_of_a_long_one():
    needles = Needles()
    long = "begin-of-a-rather-long-secret-" + "x" * 60
    needles.add(long, "[long]")
    assert needles.open("") == 0
    assert needles.open("nothing here!") == len("nothing here!")
    for size in (1, 23, 24, 25, 40, len(long) - 1):
        assert needles.open(f"see {long[:size]}") == 4, size
    assert needles.open(f"see {long}") == 4 + len(long)
    assert needles.open(f"see {long[:40]}?") == 45


def test_half_a_surrogate_pair_is_a_value_too():
    needles = Needles()
    needles.add("ab\ud800cd", "[odd]")
    assert needles.spans("x ab\ud800cd y") == [(2, 7, "[odd]")]
    assert needles.bytes("x ab\ud800cd".encode("utf-8", "surrogatepass")) == b"x [odd]"
