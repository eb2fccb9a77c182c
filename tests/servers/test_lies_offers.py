"""However a server lies about resources, prompts, skills and completion: bounds hold, what is left
out is said, and nothing is read that was not asked for."""

import pytest

from agent_host.servers.offers import Failed, PromptInfo, ResourceInfo
from tests.fakes.beside import assert_clean, beside
from tests.fakes.hosting import context, hostile

KINDS = {"resources": 2, "prompts": 1, "skills": 1}
"""How many lists each of them is: resources come with their templates."""
LISTED = {"resources": ("resources", "resourceTemplates"), "prompts": ("prompts",)}


def asked(mode, ask, **spec):
    """What `ask(pool)` says of a lying server beside an honest one."""
    return beside(hostile(mode, **{"call_timeout": 8, **spec}), ask).result


def listed(kind, lie, era="modern,"):
    async def ask(pool):
        return await getattr(pool, kind)()

    return asked(f"{era}every:{lie}", ask)


@pytest.mark.parametrize("era", ["", "modern,"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_page_of_an_honest_list_is_read(kind, era):
    found, problems = listed(kind, "pages", era)
    assert len(found) == 4 * KINDS[kind]
    assert problems == ()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("lie", "most", "part"),
    [
        ("endless", 100, "has more than 100 pages"),
        ("empty_pages", 0, "has more than 100 pages"),
        ("same_cursor", 2, "repeats a cursor"),
        ("huge_cursor", 1, "has a cursor of more than 16 KiB"),
        ("fat_pages", 4, "is larger than 16 MiB"),
        ("no_list", 0, "holds no list"),
        ("list_dies", 0, "failed: "),
        ("nothing", 0, "failed: "),
    ],
)
def test_a_list_without_end_or_sense_is_bounded_and_that_is_said(kind, lie, most, part):
    found, problems = listed(kind, lie)
    assert len(found) <= most * KINDS[kind]
    assert sum(part in problem for problem in problems) == KINDS[kind]
    assert_clean(*problems)
    assert all(len(problem) < 5000 for problem in problems)


@pytest.mark.parametrize("kind", ["resources", "prompts"])
def test_fifty_thousand_items_are_two_thousand_and_a_word(kind):
    found, problems = listed(kind, "fifty_thousand")
    assert len(found) == 2000 * KINDS[kind]
    assert [p.partition(": ")[2] for p in problems] == [
        f"it has 50000 {name}; those after 2000 are left out" for name in LISTED[kind]
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lie", ["odd_cursor", "ttl_negative", "ttl_for_ever", "ttl_text"])
def test_a_cursor_or_hint_that_makes_no_sense_is_none(kind, lie):
    found, problems = listed(kind, lie)
    assert (len(found), problems) == (KINDS[kind], ())


@pytest.mark.parametrize("kind", KINDS)
def test_junk_in_a_list_hides_no_honest_item(kind):
    found, problems = listed(kind, "junk_items")
    assert {item.name for item in found} == {"honest"}
    assert 1 <= len(problems) <= 7


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_however_large_is_kept_small(kind):
    found, _ = listed(kind, "huge_item")
    assert all(len(item.description) <= 4000 for item in found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_gone_lists_nothing(kind):
    async def ask(pool):
        before, _ = await getattr(pool, kind)()
        await pool.call(pool.tools()["h__die"], {}, context())
        return before, await getattr(pool, kind)()

    before, (after, problems) = asked("offers,modern", ask, connect_timeout=1)
    assert len(before) == KINDS[kind]
    assert after == ()
    assert "is not available" in problems[0]


@pytest.mark.parametrize(
    ("lie", "kind", "part"),
    [
        ("read_huge", "error", "larger than the host accepts"),
        ("read_nothing", "error", "holds no contents"),
        ("read_error", "error", "resources/read: "),
        ("read_hangs", "timeout", "resources/read"),
        ("read_needs_input", "error", "not done after 10 answers"),
    ],
)
def test_a_resource_that_cannot_be_read_is_a_failure_that_says_why(lie, kind, part):
    async def ask(pool):
        return await pool.read_resource("h", "x://one")

    failed = asked(f"offers,modern,{lie}", ask, call_timeout=0.8 if "hangs" in lie else 8)
    assert isinstance(failed, Failed)
    assert failed.kind == kind
    assert_clean(failed.text)
    assert part in failed.text


@pytest.mark.parametrize(
    "lie", ["read_large", "read_many", "read_junk", "read_other", "read_nasty"]
)
def test_what_a_resource_holds_is_bounded(lie):
    async def ask(pool):
        return await pool.read_resource("h", "x://one")

    content = asked(f"offers,modern,{lie}", ask)
    assert not isinstance(content, Failed)
    assert len(content) <= 1001
    assert sum(len(getattr(block, "text", "") or "") for block in content) <= 6 << 20


def test_a_resource_is_read_from_its_server_alone():
    async def ask(pool):
        return [
            await pool.read_resource("good", uri)
            for uri in ("file:///etc/passwd", "http://169.254.169.254/latest", "ui://x")
        ]

    # The word is the server's own: nobody opened the file or the address.
    for content in asked("offers,modern", ask):
        assert [block.text for block in content] == ["read"]


@pytest.mark.parametrize(
    ("lie", "kind"),
    [
        ("get_huge", "error"),
        ("get_nothing", "error"),
        ("get_error", "error"),
        ("get_hangs", "timeout"),
        ("get_needs_input", "error"),
    ],
)
def test_a_prompt_that_cannot_be_got_is_a_failure_that_says_why(lie, kind):
    async def ask(pool):
        return await pool.get_prompt("h", "one", {"who": "x"})

    failed = asked(f"offers,modern,{lie}", ask, call_timeout=0.8 if "hangs" in lie else 8)
    assert isinstance(failed, Failed)
    assert failed.kind == kind
    assert "prompts/get" in failed.text
    assert_clean(failed.text)


def test_the_messages_of_a_prompt_are_bounded_and_have_a_legal_role():
    async def ask(pool):
        return await pool.get_prompt("h", "one", {})

    assert len(asked("offers,modern,get_many", ask)) <= 500
    messages = asked("offers,modern,get_junk", ask)
    assert {message.role for message in messages} <= {"user", "assistant"}


@pytest.mark.parametrize("lie", ["complete_many", "complete_junk", "complete_nothing"])
def test_completions_are_few_short_and_text(lie):
    async def ask(pool):
        prompts, _ = await pool.prompts("h")
        resources, _ = await pool.resources("h")
        template = next(resource for resource in resources if resource.template)
        assert isinstance(prompts[0], PromptInfo)
        assert isinstance(template, ResourceInfo)
        return [
            await pool.complete(prompts[0], "who", ""),
            await pool.complete(template, "id", ""),
        ]

    for values in asked(f"offers,modern,{lie}", ask):
        assert len(values) <= 100
        assert all(isinstance(value, str) and len(value) <= 300 for value in values)


@pytest.mark.parametrize(
    "lie", ["skill_escapes", "skill_inner_escapes", "skill_no_digest", "skill_junk", "skill_nasty"]
)
def test_a_skill_whose_files_lead_elsewhere_or_are_not_hashed_is_no_skill(lie):
    async def ask(pool):
        return await pool.skills("h")

    found, problems = asked(f"offers,modern,{lie}", ask)
    assert {skill.name for skill in found} <= {"one"}
    assert len(found) <= (1 if lie == "skill_nasty" else 0)
    assert problems
    assert_clean(*problems)


def test_a_skill_that_is_listed_twice_is_the_first():
    async def ask(pool):
        return await pool.skills("h")

    found, (problem,) = asked("offers,modern,skill_twins", ask)
    assert len(found) == 1
    assert "more than once" in problem


def test_no_skill_is_read_before_it_is_wanted():
    async def ask(pool):
        await pool.skills()
        await pool.resources()
        before = await pool.read_resource("h", "x://reads")
        text = await pool.read_skill("h", "one")
        return before, text, await pool.read_resource("h", "x://reads")

    before, text, after = asked("offers,modern,read_tells", ask)
    assert [block.text for block in before] == ["x://reads"]
    assert not isinstance(text, Failed)
    assert [block.text for block in after] == ["x://reads skill://one/SKILL.md x://reads"]


def test_nothing_is_offered_by_a_server_that_does_not_say_so():
    async def ask(pool):
        return [await getattr(pool, kind)("h") for kind in KINDS]

    assert asked("", ask) == [((), ())] * 3


def test_a_server_that_is_not_there_is_unknown():
    async def ask(pool):
        return await pool.read_resource("nobody", "x://one")

    assert asked("", ask).kind == "unknown_server"
