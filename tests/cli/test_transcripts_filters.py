import argparse
import time

import pytest

from agent_host.cli.transcripts_index import add_filters, filters, number


@pytest.fixture
def parsed():
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_filters(parser)
    return lambda *arguments: filters(parser.parse_args(arguments))


@pytest.fixture
def zone(monkeypatch):
    def at(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield at
    monkeypatch.undo()
    time.tzset()


def test_a_day_is_one_of_this_zone_and_ends_with_its_last_moment(parsed, zone):
    zone("America/New_York")
    for day in ("2026-11-25", "20261125", "2026-W48-3"):
        assert parsed("--since", day).since == "2026-11-25T05:00:00.000000Z"
        assert parsed("--until", day).until == "2026-11-26T05:00:00.000000Z"


@pytest.mark.parametrize(
    ("day", "ends"), [("2026-03-29", "2026-03-29T22:00"), ("2026-10-25", "2026-10-25T23:00")]
)
def test_a_day_of_23_or_25_hours_ends_at_midnight(parsed, zone, day, ends):
    zone("Europe/Berlin")
    assert parsed("--until", day).until == f"{ends}:00.000000Z"


def test_a_whole_second_compares_with_the_times_of_records(parsed):
    since = parsed("--since", "2026-11-25T12:00:00Z").since
    assert "2026-11-25T11:59:59.999999Z" < since <= "2026-11-25T12:00:00.000000Z"


@pytest.mark.parametrize(
    "arguments",
    [("--since", "nand"), ("--since", "1e99d"), ("--until", "0001-01-01T00:00+23:59"),
     ("--until", "9999-12-31"), ("--cost", "nan"), ("--cost", "-1"), ("--cost", "much")],
)  # fmt: skip
def test_what_is_no_time_and_no_amount_is_refused_with_an_example(parsed, arguments):
    with pytest.raises(argparse.ArgumentError, match="write"):
        parsed(*arguments)


@pytest.mark.parametrize("text", ["0", "-1", "x", "9" * 5000, ""])
def test_what_is_no_number_of_runs_is_refused_in_words(text):
    with pytest.raises(argparse.ArgumentTypeError, match="whole number"):
        number(text)
