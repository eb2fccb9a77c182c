import asyncio
from collections.abc import Sequence

import pytest

from agent_host.surfaces import completion
from agent_host.surfaces.completion import Candidate, Completion, Offers, variable_at
from tests.fakes.offers import Argument, Offered, Prompt, Servers
from tests.fakes.screens import HOSTILE

COMMANDS = (("/help", "help"), ("/model", "models"))


def words(command: str) -> tuple[str, ...]:
    return ("claude", "offline") if command == "/model" else ()


def servers(**more: object) -> Servers:
    return Servers(
        prompt_list=[Prompt("sum", (Argument("from", description="Where"), Argument("to")))],
        resource_list=[
            Offered("note:1", title="First"),
            Offered("file:///{dir}/{name}.txt", template=True),
        ],
        **more,  # type: ignore[arg-type]
    )


def complete(text: str, *, tab: bool = False, pool: Servers | None = None) -> list[str]:
    made = Completion(COMMANDS, words, Offers(pool or servers()))
    found = asyncio.run(made.candidates(text, tab=tab))
    assert all(0 <= candidate.replaces <= len(text) for candidate in found)
    return [text[: len(text) - c.replaces] + c.text for c in found]


def test_commands_prompts_and_their_words_are_completed_and_nothing_else() -> None:
    assert complete("/") == ["/help ", "/model ", "/w:sum "]
    assert complete("/mo") == ["/model "]
    assert complete("/w:") == ["/w:sum "]
    assert complete("/model cl") == ["/model claude"]
    assert complete("/model claude x") == []
    assert complete("/help ") == []
    assert complete("say /he") == []
    assert complete("/a\n/") == []
    assert complete("//he") == []


def test_arguments_are_completed_by_name_and_their_values_only_for_a_tab() -> None:
    pool = servers(values=("Berlin", "Bad Ems"))
    assert complete("/w:sum ", pool=pool) == ["/w:sum from=", "/w:sum to="]
    assert complete("/w:sum from=x t", pool=pool) == ["/w:sum from=x to="]
    assert complete("/w:sum from=B", pool=pool) == []
    assert pool.asked == [("prompts", None)] * 3
    assert complete("/w:sum to=y from=B", tab=True, pool=pool) == [
        "/w:sum to=y from=Berlin",
        "/w:sum to=y from='Bad Ems'",
    ]
    assert pool.asked[-1] == (pool.prompt_list[0], "from", "B", {"to": "y"})
    assert complete("/w:sum other=B", tab=True, pool=pool) == []
    assert complete("/w:gone x=", tab=True, pool=pool) == []


def test_resources_are_completed_at_the_start_of_a_word() -> None:
    assert complete("see @") == ["see @w:note:1", "see @w:file:///"]
    assert complete("see (@w:n") == ["see (@w:note:1"]
    assert complete("ann@w:n") == []
    assert complete("see @w:x") == []


def test_the_variables_of_a_template_are_completed_by_its_server() -> None:
    pool = servers(values=("docs", "data"))
    assert complete("@w:file:///d", pool=pool) == []
    assert complete("@w:file:///d", tab=True, pool=pool) == ["@w:file:///docs", "@w:file:///data"]
    template = pool.resource_list[1]
    assert pool.asked[-1] == (template, "dir", "d", {})
    complete("@w:file:///docs/a", tab=True, pool=pool)
    assert pool.asked[-1] == (template, "name", "a", {"dir": "docs"})


@pytest.mark.parametrize(
    ("template", "typed", "spot"),
    [
        ("a/{x}", "a/1", ("x", "1", {})),
        ("a/{x}/b/{y}", "a/1/b/", ("y", "", {"x": "1"})),
        ("a/{x}/b", "a/1/b", None),
        ("a/{x}", "b/1", None),
        ("a/{x}-{y}", "a/1-2", ("y", "2", {"x": "1"})),
        ("plain", "plain", None),
    ],
)
def test_where_a_typed_uri_stands_in_its_template(template: str, typed: str, spot: object) -> None:
    assert variable_at(template, typed) == spot


def test_names_are_asked_for_once_until_they_are_forgotten() -> None:
    pool = servers()
    offers = Offers(pool)

    async def run() -> None:
        await offers.prompts()
        await offers.prompts()
        await offers.known()
        await offers.resources()
        assert pool.asked == [("prompts", None), ("resources", None)]
        offers.forget()
        await offers.prompts()

    asyncio.run(run())
    assert len(pool.asked) == 3


def test_a_server_that_does_not_answer_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Servers):
        async def prompts(self, server: str | None = None) -> object:  # type: ignore[override]
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr(completion, "GLANCE", 0.01)
    assert complete("/", pool=Silent()) == ["/help ", "/model "]
    monkeypatch.setattr(completion, "PATIENCE", 0.01)
    assert complete("/", pool=Silent(), tab=True) == ["/help ", "/model "]


def test_what_a_line_cannot_hold_or_nobody_can_see_is_not_offered() -> None:
    hostile = [text for text in HOSTILE if not text.isprintable() or "\u00ad" in text]
    pool = Servers(
        prompt_list=[Prompt(text) for text in (*hostile, "two words")],
        resource_list=[Offered(text) for text in hostile],
    )
    assert complete("/w", pool=pool) == []
    assert complete("@", pool=pool) == []


def test_descriptions_are_clean_and_short() -> None:
    pool = Servers(prompt_list=[Prompt("p", description="\x1b[2J" + "x" * 500)])
    made = Completion(COMMANDS, words, Offers(pool))
    (found,) = asyncio.run(made.candidates("/w:", tab=False))
    assert found == Candidate("/w:p", 3, found.about)
    assert "\x1b" not in found.about
    assert len(found.about) <= 80


def test_a_name_without_end_is_not_offered() -> None:
    offers = Offers(Servers(resource_list=(Offered("x://" + "a" * 5000, "shop"),)))
    made = Completion([], lambda _: (), offers)
    assert asyncio.run(made.candidates("@shop", tab=False)) == []


def test_what_was_not_told_in_time_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that connects while a person types has its prompts as soon as it is there."""

    class Late(Servers):
        there = False

        async def prompts(
            self, server: str | None = None
        ) -> tuple[Sequence[Prompt], Sequence[str]]:
            if not self.there:
                await asyncio.Event().wait()
            return [Prompt("late")], ()

    monkeypatch.setattr(completion, "GLANCE", 0.01)
    pool = Late()
    offers = Offers(pool)

    async def run() -> None:
        assert await offers.prompts(wait=False) == ()
        pool.there = True
        assert [p.name for p in await offers.prompts(wait=False)] == ["late"]

    asyncio.run(run())


def test_the_long_form_of_a_prompt_is_completed_step_by_step() -> None:
    pool = servers(values=("Berlin",))
    made = Completion(COMMANDS, lambda _: ("w", "crm"), Offers(pool))

    def complete(text: str, *, tab: bool = False) -> list[str]:
        return [c.text for c in asyncio.run(made.candidates(text, tab=tab))]

    assert complete("/prompt ") == ["w ", "crm "]
    assert complete("/prompt w s") == ["sum "]
    assert complete("/prompt crm s") == []
    assert complete("/prompt w sum f") == ["from="]
    assert complete("/prompt w sum from=B", tab=True) == ["Berlin"]


def test_a_command_of_two_words_is_completed_by_what_the_first_one_says() -> None:
    def words(line: str) -> tuple[str, ...]:
        return {"/tools": ("crm",), "/tools crm": ("find", "fix")}.get(line, ())

    made = Completion((("/tools", ""),), words, Offers(servers()))
    found = asyncio.run(made.candidates("/tools crm fi", tab=False))
    assert found == [Candidate("find", 2), Candidate("fix", 2)]
    assert asyncio.run(made.candidates("/tools crm find x", tab=False)) == []
