from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.policy.ledger import GivenTotals, SimulatedTotals
from agent_host.state.totals import Call, Share, Totals

shares_of = st.dictionaries(
    st.sampled_from(["a", "b"]),
    st.tuples(st.sampled_from(["k", "l"]), st.integers(0, 50)),
    max_size=2,
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove"]),
        st.integers(0, 4),
        shares_of,
        st.integers(0, 40),
    ),
    max_size=25,
)


def share(total, key, units):
    return Share(total=total, key=key, units=units, window=60.0)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_a_simulation_counts_as_state_db_does(tmp_path_factory, steps):
    simulated = SimulatedTotals()
    kept = Totals(tmp_path_factory.mktemp("state") / "state.db")
    now = 1000.0
    wanted = [share(t, k, 0) for t in "ab" for k in "kl"]
    for what, number, shares, later in steps:
        now += later
        call = Call(run="r", call=str(number))
        made = [share(total, key, units) for total, (key, units) in shares.items()]
        for totals in (simulated, kept):
            if what == "remove":
                totals.remove(call)
                continue
            with totals.book() as book:
                book.put(call, made, now=now)
        apart = Call(run="r", call="2")
        with kept.book() as book, simulated.book() as other:
            for one in wanted:
                assert other.sums([one], now=now, apart=apart) == book.sums(
                    [one], now=now, apart=apart
                )
                assert simulated.sums([one], now=now) == other.sums(
                    [one], now=now, apart=Call(run="", call="")
                )
    kept.close()


def test_given_totals_stand_where_they_were_said_to(tmp_path):
    behind = Totals(tmp_path / "state.db")
    with behind.book() as book:
        book.put(Call(run="r", call="c"), [share("a", "k", 5), share("b", "k", 7)], now=1.0)
    wanted = [share("a", "k", 0), share("b", "k", 0), share("c", "k", 0)]
    assert GivenTotals({"a": 2.5}, behind).sums(wanted, now=2.0) == {
        "a": 2_500_000,
        "b": 7,
        "c": 0,
    }
    assert GivenTotals({"a": 2.5}).sums(wanted[:2], now=2.0) == {"a": 2_500_000, "b": 0}
    behind.close()
