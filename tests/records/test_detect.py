import json
import random
import subprocess
import sys
import time

import pytest

from agent_host.core.errors import ConfigError
from agent_host.records.detect import _BEGINS, _RARE, _THEIRS, Detector, _patterns
from tests.fakes.programs import ROOT
from tests.records.secrets import ORDINARY, SAMPLES

TEXTUAL = (".md", ".py", ".toml", ".json", ".jsonl")


@pytest.mark.parametrize("name", SAMPLES)
def test_a_secret_is_found_whole_and_nothing_beside_it(name):
    sample = SAMPLES[name]
    for before, after in (("", ""), ("see ", " there"), ("a\n", "\nb"), ('x = ["', '"]')):
        text = f"{before}{sample.text}{after}"
        assert [(text[s:e], kind) for s, e, kind in Detector().find(text)] == [
            (sample.secret, sample.kind)
        ]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_line_of_json_that_holds_a_secret_is_suspected(name):
    assert Detector().suspects(json.dumps({"text": SAMPLES[name].text}))


@pytest.mark.parametrize("text", ORDINARY)
def test_what_only_talks_of_secrets_is_left_alone(text):
    assert Detector().find(text) == []


def test_in_our_own_documentation_code_and_recorded_runs_nothing_is_found():
    places = ("docs", "agent_host", "transcripts", "tests/goldens")
    files = [p for place in places for p in (ROOT / place).rglob("*.*") if p.suffix in TEXTUAL]
    assert len(files) > 100
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert [text[s:e] for s, e, _ in Detector().find(text)] == [], path


def test_every_secret_of_a_long_text_is_found_wherever_it_stands():
    chance = random.Random(7)
    filler = "".join(chance.choice("lorem ipsum dolor sit amet\n") for _ in range(150_000))
    samples = [sample for sample in SAMPLES.values() if "\n" not in sample.text]
    places = sorted(chance.randrange(len(filler)) for _ in samples)
    parts, done = [], 0
    for place, sample in zip(places, samples, strict=True):
        parts += filler[done:place], f" {sample.text} "
        done = place
    text = "".join((*parts, filler[done:]))
    found = {text[s:e] for s, e, _ in Detector().find(text)}
    assert found == {sample.secret for sample in samples}


def test_the_last_lines_and_the_first_lines_of_a_private_key_are_found_too():
    whole = SAMPLES["private key"].secret
    lines = whole.split("\n")
    tail, head = "\n".join(lines[2:]), "\n".join(lines[:4])
    assert [e - s for s, e, _ in Detector().find(f"page 2:\n{tail}\nend")] == [len(tail)]
    assert [e - s for s, e, _ in Detector().find(f"cat\n{head}\nand so on")] == [len(head)]


def test_of_two_secrets_that_overlap_one_is_made():
    text = "Authorization: Bearer " + SAMPLES["GitHub"].secret
    [(start, end, kind)] = Detector().find(text)
    assert (text[start:end], kind) == (SAMPLES["GitHub"].secret, "github-token")


def test_detect_secrets_is_imported_only_for_what_may_be_one_of_its_tokens():
    code = (
        "import sys; from agent_host.records.detect import Detector; d = Detector(); "
        "d.find('password = hunter2 and AKIA or ghp_ and ASIA'); a = 'detect_secrets' in "
        "sys.modules; d.find('gh' + 'p_' + 'aB3' * 12); print(a, 'detect_secrets' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"


def test_each_plugin_that_is_used_still_has_expressions():
    for plugin in {t.plugin for t in _THEIRS} | {row[0] for row in _RARE}:
        assert _patterns(plugin), plugin


def test_every_expression_of_the_config_is_looked_for():
    detector = Detector({"acme": "ACME-[0-9]{16}", "line": '"pin": "[^"]+"'})
    text = 'x ACME-1234567890123456, {"pin": "12 34"} ACME-1'
    assert [(text[s:e], kind) for s, e, kind in detector.find(text)] == [
        ("ACME-1234567890123456", "acme"),
        ('"pin": "12 34"', "line"),
    ]
    assert detector.suspects("anything")
    assert repr(detector) == "Detector([Expression(acme), Expression(line)])"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"(a)\1", "no regular expression of the kind that takes linear time"),
        ("(?=a)b", "no regular expression of the kind that takes linear time"),
        ("(", "no regular expression of the kind that takes linear time"),
        ("a*", "matches the empty text"),
    ],
)
def test_an_expression_that_cannot_be_used_is_told_of_by_name(pattern, why):
    with pytest.raises(ConfigError) as caught:
        Detector({"kind": pattern})
    assert str(caught.value).startswith("kind ")
    assert why in str(caught.value)


def floods():
    for begin in _BEGINS:
        yield begin
        yield f"{begin}aB3"
    yield from ("password=", "password: '", "://a:", "://a:b@", "Bearer ", "eyJa.", "key", "-us1")
    yield from ("-----BEGIN RSA PRIVATE KEY-----", "-----END PRIVATE KEY-----", "AAAA\n", "a1b2")
    yield from (
        "PuTTY-User-Key-File-2: ",
        "=>",
        "\\n",
        "[secret:",
        "softlayer",
        "pass:\t",
        "12345678:",
    )


@pytest.mark.parametrize("flood", [*floods()])
def test_no_text_takes_more_than_linear_time(flood):
    """Twice the text takes about twice the time, and 100 KB never long."""
    detector = Detector({"odd": "(a+)+$x", "any": "ACME-[0-9]+"})
    detector.find(flood * 40)

    def seconds(size):
        text = (flood * (size // len(flood) + 1))[:size]
        best = 9.0
        for _ in range(3):
            before = time.process_time()
            detector.find(text)
            detector.open(text, 0)
            best = min(best, time.process_time() - before)
        return best

    assert seconds(100_000) < 1.0
