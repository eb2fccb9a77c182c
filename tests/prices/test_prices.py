"""What an answer costs, and that what is not known is never a number."""

import asyncio
import subprocess
import sys

import pytest

from agent_host.core.types import Origin, Usage
from agent_host.prices import Price, Prices, price_of, shown_cost

CLAUDE = Origin(provider="anthropic", model="claude-sonnet-5", adapter="anthropic")
MILLION = Usage(input_tokens=1_000_000, output_tokens=1_000_000)


def test_a_known_model_costs_what_the_package_says():
    price = price_of("anthropic", "claude-sonnet-5")
    assert price is not None
    cost = Prices().cost(CLAUDE, MILLION)
    assert cost == pytest.approx(price.input + price.output)
    assert cost > 1


def test_tokens_from_a_cache_are_cheaper_and_counted_once():
    prices = Prices()
    plain = prices.cost(CLAUDE, Usage(input_tokens=1_000_000))
    read = prices.cost(CLAUDE, Usage(input_tokens=1_000_000, cache_read_tokens=1_000_000))
    assert plain is not None
    assert read is not None
    assert 0 < read < plain / 2
    # A provider that says more was cached than was sent is not believed.
    odd = Usage(input_tokens=10, cache_read_tokens=1000, cache_write_tokens=1000)
    assert prices.cost(CLAUDE, odd) == pytest.approx(read / 100_000)


@pytest.mark.parametrize(
    "origin",
    [
        Origin(provider="anthropic", model="claude-of-tomorrow", adapter="anthropic"),
        Origin(provider="127.0.0.1:8080", model="gpt-5", adapter="openai-chat"),
        Origin(provider="ollama", model="gpt-5", adapter="openai-chat"),
    ],
    ids=["a model that is not known", "a server of one's own", "a provider without prices"],
)
def test_what_is_not_known_has_no_cost_and_not_that_of_a_namesake(origin: Origin):
    assert Prices().cost(origin, MILLION) is None
    assert Prices().price(origin.provider, origin.model) is None


def test_the_model_that_was_served_is_looked_up_where_the_asked_one_is_an_alias():
    alias = Origin(provider="anthropic", model="our-alias", adapter="anthropic")
    assert Prices().cost(alias, MILLION, "claude-sonnet-5") == Prices().cost(CLAUDE, MILLION)


def test_a_price_of_the_config_goes_before_all():
    own = {("127.0.0.1:8080", "m"): Price(input=1.0, output=2.0, cache_read=0.5)}
    origin = Origin(provider="127.0.0.1:8080", model="m", adapter="openai-chat")
    usage = Usage(input_tokens=3_000_000, output_tokens=1_000_000, cache_read_tokens=1_000_000)
    assert Prices(own).cost(origin, usage) == pytest.approx(2.0 + 0.5 + 2.0)
    written = Price(input=1.0, output=0.0, cache_write=1.25)
    assert written.of(Usage(input_tokens=4, cache_write_tokens=4)) == pytest.approx(5e-6)


@pytest.mark.parametrize("adapter", ["offline", "script", "replay"])
def test_what_no_ai_answers_costs_nothing(adapter: str):
    assert Prices().cost(Origin(provider="x", model="y", adapter=adapter), MILLION) == 0.0


def test_reading_the_prices_twice_at_once_and_again_is_one_reading():
    prices = Prices()

    async def read() -> None:
        await asyncio.gather(prices.ready(CLAUDE), prices.ready(CLAUDE))
        await prices.ready(CLAUDE)

    asyncio.run(read())
    assert prices.cost(CLAUDE, MILLION)


def test_reading_can_begin_before_anybody_waits_for_it():
    prices = Prices()

    async def read() -> None:
        prices.begin(CLAUDE)
        begun = prices._reading
        assert begun is not None
        await prices.ready(CLAUDE)
        assert prices._reading is begun

    asyncio.run(read())


def test_a_reading_that_was_given_up_can_be_waited_for_again():
    prices = Prices()

    async def read() -> None:
        task = asyncio.ensure_future(prices.ready(CLAUDE))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await prices.ready(CLAUDE)

    asyncio.run(read())


def test_the_room_is_imported_without_the_package_that_knows_the_prices():
    code = "import sys, agent_host.prices; print('genai_prices' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "origin",
    [
        Origin(provider="127.0.0.1:8080", model="gpt-5", adapter="openai-chat"),
        Origin(provider="anthropic", model="x", adapter="script"),
        Origin(provider="ollama", model="x", adapter="openai-chat"),
    ],
    ids=["a URL", "a script", "a server on this machine"],
)
def test_a_model_that_can_have_no_price_reads_none(origin: Origin):
    prices = Prices()
    asyncio.run(prices.ready(origin))
    assert prices._reading is None


def test_money_is_shown_with_what_is_not_known():
    assert shown_cost(0.00123, 0) == "$0.0012"
    assert shown_cost(12.3456, 0, 4) == "$12.35"
    assert shown_cost(0.5, 1, 3) == "$0.5000 and 1 of unknown cost"
    assert shown_cost(0.0, 2, 2) == "cost unknown"
    assert shown_cost(0.0, 2, 5) == "cost unknown"  # the others were free
    assert Price(input=1.25, output=10).shown == "$1.25 in, $10 out"
