"""Skills: listed without a read, read only when wanted, used only when they are what was listed."""

import asyncio

import pytest
import yaml

from agent_host.servers.offers import Failed
from agent_host.servers.protocol.skills import Skill, _differs, read_skills
from tests.fakes.asked import MODERN, methods, over, pooled

BOTH = pytest.mark.parametrize("transport", ["stdio", "http"])


def run(scenario, transport="stdio", mode="", **spec):
    async def inside():
        with over(transport, MODERN, mode, **spec) as found:
            async with pooled(found) as pool:
                return await scenario(pool)

    return asyncio.run(inside())


@BOTH
def test_skills_are_listed_and_nothing_of_them_is_read(tmp_path, transport):
    flags = {"seen": tmp_path / "seen"}
    found, problems = run(lambda pool: pool.skills(), transport, flags=flags)
    assert [(skill.name, skill.description) for skill in found] == [
        ("brew-tea", "How to brew tea"),
        ("made-up", "d"),
    ]
    assert len(problems) == 7
    assert "resources/read" not in methods(flags["seen"])


@BOTH
def test_a_skill_and_its_files_are_read_when_they_are_what_was_listed(transport):
    async def scenario(pool):
        return (
            await pool.read_skill("a", "brew-tea"),
            await pool.read_skill("a", "brew-tea", uri="skill://brew-tea/leaves.md"),
        )

    text, more = run(scenario, transport)
    assert text.endswith("Boil.\n")
    assert more == "Use leaves.\n"


@pytest.mark.parametrize(
    ("mode", "part"),
    [
        ("skill_digest", "its SHA-256 is not the one that its entry says"),
        ("skill_size", "bytes and not"),
        ("skill_front", "the frontmatter of its SKILL.md is not what its entry says"),
        ("skill_alias", "the frontmatter of its SKILL.md cannot be read"),
    ],
)
def test_a_skill_that_is_not_what_was_listed_is_not_used(mode, part):
    failed = run(lambda pool: pool.read_skill("a", "brew-tea"), mode=mode)
    assert isinstance(failed, Failed)
    assert failed.kind == "unverified"
    assert part in failed.text


@pytest.mark.parametrize(
    ("server", "name", "uri", "kind"),
    [
        ("a", "unknown", "", "error"),
        ("nobody", "brew-tea", "", "unknown_server"),
        ("a", "brew-tea", "memo://1", "error"),
        ("a", "made-up", "", "unverified"),
    ],
)
def test_what_is_no_skill_or_no_file_of_it_is_not_read(server, name, uri, kind):
    failed = run(lambda pool: pool.read_skill(server, name, uri=uri))
    assert failed.kind == kind


def entry(name="x", **more):
    front = {"name": name, "description": "d"}
    uri = f"skill://{name}/SKILL.md"
    return {"uri": uri, "frontmatter": front, "resources": "dynamic", **more}


@pytest.mark.parametrize(
    "item",
    [
        None,
        entry("UPPER"),
        entry("x-"),
        entry("x" * 65),
        entry(uri="skill://y/SKILL.md"),
        entry(uri="skill://x/y/SKILL.md"),
        entry(uri="skill://x/SKILL.md/"),
        entry(uri="skill://x/%2e%2e/SKILL.md"),
        entry(uri="//["),
        entry(frontmatter={"name": "x"}),
        entry(resources=[]),
        entry(resources=5),
    ],
)
def test_an_entry_that_makes_no_sense_is_left_out_with_a_reason(item):
    problems = []
    assert read_skills("a", [item], problems) == ()
    assert len(problems) == 1


def skill(**front):
    held = {"name": "x", "description": "d", **front}
    return Skill(
        server="a",
        name="x",
        description="d",
        uri="skill://x/SKILL.md",
        frontmatter=held,
        files=None,
    )


@pytest.mark.parametrize(
    ("front", "yaml_text", "same"),
    [
        ({}, "name: x\ndescription: d\n", True),
        ({}, "description: d\nname: 'x'\n", True),
        ({"on": "2026-01-01"}, "name: x\ndescription: d\non: 2026-01-01\n", False),
        ({"day": "2026-01-01"}, "name: x\ndescription: d\nday: 2026-01-01\n", True),
        ({"n": 1}, "name: x\ndescription: d\nn: true\n", False),
        ({"n": "1"}, "name: x\ndescription: d\nn: 1\n", False),
        ({}, "name: x\ndescription: d\nextra: 1\n", False),
        ({}, "name: !!python/object/apply:os.system [true]\ndescription: d\n", False),
    ],
)
def test_frontmatter_is_compared_field_by_field_as_json(front, yaml_text, same):
    assert (_differs(skill(**front), f"---\n{yaml_text}---\nbody") == "") is same


@pytest.mark.parametrize("text", ["", "no frontmatter", "x\n---\na: 1\n---\n", "---\na: 1\n"])
def test_a_skill_without_frontmatter_is_refused(text):
    assert "begins with no frontmatter" in _differs(skill(), text)


def test_a_small_frontmatter_cannot_become_a_large_one():
    levels = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9))
    assert "cannot be read" in _differs(skill(), f"---\na0: &a0 x\n{levels}\n---\n")
    assert yaml  # the loader is a SafeLoader that allows less
