from agent_host.surfaces.pastes import Pastes

MANY = "\n".join(map(str, range(100)))


def test_a_small_paste_stands_as_it_is_and_a_large_one_as_a_word() -> None:
    pastes = Pastes()
    assert pastes.take("one\r\ntwo\rthree") == "one\ntwo\nthree"
    assert pastes.take(MANY) == "[pasted 100 lines]"
    assert pastes.take("x" * 2000) == "[pasted 2,000 characters]"


def test_each_paste_comes_back_in_its_own_place() -> None:
    pastes = Pastes()
    other = MANY.replace("1", "7")
    first, second = pastes.take(MANY), pastes.take(other)
    assert second == "[pasted 100 lines, 2]"
    assert pastes.take(MANY) == first
    assert pastes.expand(f"a {second} b {first} c") == f"a {other} b {MANY} c"


def test_a_paste_is_not_searched_for_placeholders_and_typed_ones_are_text() -> None:
    pastes = Pastes()
    inner = pastes.take(MANY)
    outer = pastes.take(f"{inner}\n" * 20)
    assert pastes.expand(outer) == f"{inner}\n" * 20
    assert pastes.expand("[pasted 7 lines]") == "[pasted 7 lines]"
    pastes.forget()
    assert pastes.expand(outer) == outer
