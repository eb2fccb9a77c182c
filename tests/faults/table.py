"""The table of faults as a page: `python -m tests.faults.table` writes docs/faults.md."""

import tomllib
from pathlib import Path

LEDGER = Path(__file__).with_name("faults.toml")
PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

HEAD = """# Faults

What can fail around the program, and what you then see. The tests that inject it, most of them into
the real program as a process, are named in [the ledger](../tests/faults/faults.toml); this table is
made of it (`python -m tests.faults.table`).

**What is promised.** What you were shown of a run is in its transcript, and survives the program.
Before a tool is called, that it will be is on the disk. A call whose outcome nobody knows is
never repeated by itself. Whatever stops a run is one line that names the file, the reason and
what to do next; the exit status is not 0; `--resume` goes on from there. At its end a run is on
the disk as a whole.

**What is not.** A file that somebody removes after the program has ended is gone. Records between
two calls of tools are with the operating system until the next call or the end: a power cut may
take them, a crash of the program does not. Bits that flip are found where they break a record; a
transcript has no checksums, so a letter of a text may change unseen. The [audit log](audit.md) is
a chain in which every byte counts.

**A transcript of a gigabyte.** `python bench/large.py` makes one, as a run of many weeks leaves it
(214,000 records), and measures. On one core of two, CPython 3.11:

| command | seconds | MB of memory |
|---|---|---|
| `transcripts list`, the first time | 7.6 | 35 |
| `transcripts list` or `search`, any further time | 0.13 | 25 |
| `run --resume` | 4.7 | 95 |
| `transcripts show`; with `--json` | 9; 12 | 48 |
| `transcripts export`: json; openai, anthropic; html, md | 13; 15; 28 to 31 | 37 to 77 |

A run that is gone on with holds what the model is sent, and of the rest the words of users and
models; results that a compaction left out are read again when somebody looks for them. A run that
was never compacted is in memory as a whole, since the model is sent the whole of it.

| # | fault | injected | what you see |
|---|---|---|---|
"""


def page():
    rows = tomllib.loads(LEDGER.read_text(encoding="utf-8"))["fault"]
    return HEAD + "".join(f"| {' | '.join(cells(row))} |\n" for row in rows)


def cells(row):
    good = " ".join(filter(None, (row.get("good", ""), row.get("limit", ""))))
    yield from (str(row["number"]), row["what"], row.get("injected", ""), good)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
