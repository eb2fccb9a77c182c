"""A run in each form: what stands in it, and that the other side takes it."""

import json
import os
import stat
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import MessageParam
from markdown_it import MarkdownIt
from openai.types.chat import ChatCompletionMessageParam
from pydantic import TypeAdapter

from agent_host.exports.prose import quoted
from tests.fakes.programs import ROOT, agent_host
from tests.fakes.screens import FORBIDDEN, HOSTILE
from tests.journeys.recordings import RECORDED
from tests.journeys.stage import call, stage


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    evil = "\n".join(text for text in HOSTILE if text.isprintable()) + "\n# Heading\n```\n| a |"
    stage(
        folder,
        {"reasoning": evil, "say": evil, "call": [call("rude"), call("look", x=evil)]},
        {"call": call("refund", order="1", amount=5)},
        {"say": f"Done.\n\n- a\n  - b\n\n{evil}"},
    )
    done = agent_host(
        "run", "--trust", "--approve", "none", "It's # not \\* a heading", folder=folder
    )
    assert done.status == 4, done.err
    return folder


def export(folder: Path, *arguments: str, run: str = "last", **more: str) -> str:
    done = agent_host("transcripts", "export", run, *arguments, folder=folder, **more)
    assert done.status == 0, done.err
    return done.out


def messages(folder: Path, form: str, run: str = "last", **more: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(export(folder, "--format", form, run=run, **more))
    return document


@pytest.mark.parametrize("form", ["md", "html", "json", "openai", "anthropic"])
def test_no_form_brings_control_or_hidden_characters(hostile: Path, form: str) -> None:
    text = export(hostile, "--format", form)
    assert not set(FORBIDDEN) & set(text)


def test_recorded_words_are_no_headings_of_the_markdown(hostile: Path) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(export(hostile))
    depth, headings = 0, []
    for token, following in pairwise(tokens):
        depth += {"blockquote_open": 1, "blockquote_close": -1}.get(token.type, 0)
        if token.type == "html_block":
            assert token.content in {"<details><summary>Reasoning</summary>\n", "</details>\n"}
        if token.type == "heading_open" and not depth:
            headings.append(following.content)
        for child in token.children or ():
            assert child.type not in {"html_inline", "image"}
            assert not set(FORBIDDEN) & set(child.content)
    assert "Turn 1" in headings[2]
    assert all(words.startswith(("It's", "User", "Turn ", "Call ")) for words in headings), headings


def test_an_answer_keeps_its_lists_in_the_markdown(hostile: Path) -> None:
    assert "> - a\n>   - b" in export(hostile)


def test_a_refused_call_says_who_refused_it_and_that_nothing_ran(hostile: Path) -> None:
    text = export(hostile)
    assert "### Call 3: `shop: refund`, denied" in text
    assert "Policy: ask by rule default" in text


@pytest.mark.parametrize("run", RECORDED.values(), ids=RECORDED)
def test_the_other_sides_own_types_take_the_messages(run: str, tmp_path: Path) -> None:
    config = str(ROOT / "servers.toml")
    chat = messages(tmp_path, "openai", run, AGENT_HOST_CONFIG=config)
    said = messages(tmp_path, "anthropic", run, AGENT_HOST_CONFIG=config)
    TypeAdapter(list[ChatCompletionMessageParam]).validate_python(chat["messages"])
    TypeAdapter(list[MessageParam]).validate_python(said["messages"])
    assert chat["messages"][0] == {"role": "developer", "content": said["system"]} or (
        chat["messages"][0]["content"] == said["system"]
    )
    asked = [c["id"] for m in chat["messages"] for c in m.get("tool_calls", ())]
    told = [m["tool_call_id"] for m in chat["messages"] if m["role"] == "tool"]
    assert asked == told
    assert told


def test_the_json_has_every_record(hostile: Path) -> None:
    document = messages(hostile, "json")
    [file] = (hostile / "transcripts").glob("*.jsonl")
    lines = file.read_text().splitlines()
    assert document["records"] == [json.loads(line) for line in lines]
    assert document["outcome"] == "refused"


def test_a_files_name_says_the_form_and_its_owner_alone_reads_it(hostile: Path) -> None:
    file = hostile / "a run.html"
    export(hostile, "-o", str(file))
    assert file.read_text().startswith("<!DOCTYPE html>")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    export(hostile, "-o", "x.openai.json")
    assert set(json.loads((hostile / "x.openai.json").read_text())) == {"model", "messages"}


def test_a_file_that_is_there_is_left_alone_without_force(hostile: Path) -> None:
    file = hostile / "mine.md"
    file.write_text("mine")
    done = agent_host("transcripts", "export", "last", "-o", "mine.md", folder=hostile)
    assert done.status == 2
    assert "mine.md is there already; --force writes over it" in done.err
    assert file.read_text() == "mine"
    export(hostile, "-o", "mine.md", "--force")
    assert file.read_text().startswith("# It")
    assert not list(hostile.glob(".export-*"))


@pytest.mark.parametrize(
    "text",
    [
        "```\n\t```\n![x](http://e/x.png) <script>alert(1)</script>\n",
        "- a\n\n  ```\n\t ```\n![x](http://e/x.png) <b>\n",
        "1. a\n\n\t```\n   \t```\n![x](http://e/x.png)\n",
        "> ```\n>\t```\n> ![x](http://e/x.png)\n",
        "~~~\n \t~~~\n<img src=http://e/x.png>\n~~~\n\t~~~\n<i>\n",
    ],
)
def test_no_width_of_a_tab_lets_something_out_of_code(text: str) -> None:
    quote = "\n".join(quoted(text))
    tokens = MarkdownIt("commonmark", {"html": True}).parse(quote)
    kinds = {one.type for token in tokens for one in (token, *(token.children or ()))}
    assert not kinds & {"image", "html_inline", "html_block"}, quote


@pytest.mark.parametrize("before", ["", "- ", "1. ", "> ", "* # ", "-\t"])
def test_a_link_is_named_nowhere_that_leads_elsewhere_than_to_the_web(before: str) -> None:
    text = f"{before}[r]: javascript:alert(1)\n\n[y][r] [r] [z]: http://e"
    parser = MarkdownIt("commonmark")
    parser.validateLink = lambda _url: True  # type: ignore[method-assign]
    rendered = parser.render("\n".join(quoted(text)))
    assert "<a" not in rendered, rendered


def test_what_other_programs_take_for_a_formula_or_a_comment_hides_no_start_of_code() -> None:
    for mark in ("$$", "%%"):
        assert not any(
            mark in line for line in quoted(f"{mark}\n```\n{mark}a\n```\n{mark}") if "a" not in line
        )


def test_neither_a_transcript_nor_what_is_no_file_is_written_over(hostile: Path) -> None:
    [path] = (hostile / "transcripts").glob("*.jsonl")
    before = path.read_bytes()
    os.mkfifo(hostile / "pipe.md")
    for place in (path, hostile / "pipe.md"):
        done = agent_host(
            "transcripts", "export", "last", "-o", str(place), "--force", folder=hostile
        )
        assert done.status == 2, done.err
        assert str(place) in done.err
    assert path.read_bytes() == before
    assert (hostile / "pipe.md").is_fifo()


def test_a_dash_is_standard_output(hostile: Path) -> None:
    assert export(hostile, "-o", "-") == export(hostile)
    assert not (hostile / "-").exists()


def test_a_folder_gets_a_file_named_after_the_run(hostile: Path) -> None:
    (hostile / "reports").mkdir()
    export(hostile, "-o", "reports", "--format", "anthropic")
    [made] = (hostile / "reports").iterdir()
    assert made.name.endswith(".anthropic.json")


def test_a_place_that_cannot_be_written_is_said(hostile: Path) -> None:
    done = agent_host("transcripts", "export", "last", "-o", "none/x.md", folder=hostile)
    assert done.status == 2
    assert "none/x.md cannot be written: No such file or directory" in done.err


def test_a_damaged_run_is_exported_up_to_the_damage(hostile: Path, tmp_path: Path) -> None:
    [file] = (hostile / "transcripts").glob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    lines[6] = lines[6].replace(b'"seq"', b'"sec"')
    (tmp_path / "transcripts").mkdir()
    (tmp_path / "transcripts" / file.name).write_bytes(b"".join(lines))
    (tmp_path / "servers.toml").write_text('transcripts = "transcripts"\n')
    done = agent_host("transcripts", "export", "last", folder=tmp_path)
    assert done.status == 1
    assert ":7:" in done.err
    assert "| Problem |" in done.out
    assert "## Turn 1" in done.out
