"""The rules of the shop, without MCP."""

import sqlite3
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.core.errors import ExitStatus, UsageError
from agent_host.demo.desk import Desk, DeskError, spoken

SUNDAY = date(2026, 11, 22)


def desk(day=SUNDAY, path=None):
    return Desk.open(path, lambda: day)


def test_order_12345_was_shipped_yesterday_and_is_expected_on_thursday():
    order = desk().get_order("12345")
    assert order["status_text"] == (
        "Shipped yesterday (Saturday, 21 November 2026) via DHL, tracking DE4839201, "
        "expected Thursday, 26 November 2026"
    )
    assert (order["status"], order["carrier"], order["tracking_number"]) == (
        "shipped",
        "DHL",
        "DE4839201",
    )
    assert (order["shipped_on"], order["expected_on"]) == ("2026-11-21", "2026-11-26")


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
@settings(max_examples=30, deadline=None)
def test_on_every_day_the_order_is_expected_on_a_thursday_that_is_still_to_come(day):
    order = desk(day).get_order("12345")
    expected = date.fromisoformat(order["expected_on"])
    assert expected.weekday() == 3
    assert 1 <= (expected - day).days <= 7
    assert (day - date.fromisoformat(order["shipped_on"])).days == 1
    assert "expected" in order["status_text"]
    assert "Thursday" in order["status_text"]


def test_days_near_today_are_named_as_people_name_them():
    assert spoken("2026-11-23", SUNDAY) == "tomorrow (Monday, 23 November 2026)"
    assert spoken(SUNDAY, SUNDAY) == "today (Sunday, 22 November 2026)"
    assert spoken("2026-12-01", SUNDAY) == "Tuesday, 1 December 2026"


def test_every_order_can_be_shown_and_its_money_adds_up():
    shop = desk()
    found = shop.list_orders(limit=50)
    assert found["found"] == len(found["orders"]) >= 20
    for summary in found["orders"]:
        order = shop.get_order(summary["order_id"])
        total = sum(item["quantity"] * item["unit_price"] for item in order["items"])
        assert order["total"] == pytest.approx(total)
        assert order["total"] > 0
        if order["status"] != "awaiting_payment":
            assert order["refundable"] == pytest.approx(order["total"] - order["refunded"])


def test_the_shop_has_refunds_and_orders_on_both_sides_of_a_hundred():
    shop = desk()
    amounts = [refund["amount"] for refund in shop.list_refunds()["refunds"]]
    left = [shop.get_order(row["order_id"])["refundable"] for row in
            shop.list_orders(limit=50)["orders"]]  # fmt: skip
    for numbers in (amounts, left):
        assert min(numbers) < 100 < max(numbers)


@pytest.mark.parametrize("order_id", [12345, "12345", "#12345", " 12345 "])
def test_an_order_number_may_be_text_or_a_number(order_id):
    assert desk().get_order(order_id)["order_id"] == "12345"


def test_an_unknown_order_is_answered_with_the_nearest_ones_and_a_way_to_search():
    with pytest.raises(DeskError) as caught:
        desk().get_order("12346")
    assert "no order 12346" in str(caught.value)
    assert "12345, 12351" in str(caught.value)
    assert "list_orders" in str(caught.value)


@pytest.mark.parametrize("order_id", ["", "abc", "1" * 5000, "\x1b[31m", "٣", -1])
def test_an_order_number_that_is_none_is_refused_in_words(order_id):
    with pytest.raises(DeskError) as caught:
        desk().get_order(order_id)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_refunds_are_paid_until_nothing_is_left():
    shop = desk()
    first = shop.refund_order("12345", 80.25, "Late")
    assert (first["amount"], first["refundable"]) == (80.25, 119.75)
    with pytest.raises(DeskError, match=r"at most 119\.75"):
        shop.refund_order("12345", 119.76, "Late")
    assert shop.refund_order("12345", 119.75, "Late")["refundable"] == 0
    refunds = shop.list_refunds(order_id="12345")
    assert (refunds["found"], refunds["total"]) == (2, 200.0)
    assert refunds["refunds"][0]["refund_id"] > refunds["refunds"][1]["refund_id"]


def test_a_refund_has_at_most_two_decimals_and_needs_a_payment():
    shop = desk()
    with pytest.raises(DeskError, match="two decimals"):
        shop.refund_order("12345", 10.005, "x")
    with pytest.raises(DeskError, match="not paid"):
        shop.refund_order("12378", 10, "x")
    assert shop.list_refunds()["found"] == 6


def test_an_order_is_cancelled_once_and_only_before_it_is_shipped():
    shop = desk()
    assert shop.cancel_order("12360", "Changed my mind")["status"] == "cancelled"
    again = shop.cancel_order("12360", "Changed my mind")
    assert [note["note"] for note in again["notes"]] == ["Cancelled: Changed my mind"]
    assert again["status_text"] == "Cancelled"
    with pytest.raises(DeskError, match="refund_order"):
        shop.cancel_order("12345", "x")
    assert shop.get_order("12345")["status"] == "shipped"


def test_an_address_changes_only_before_the_order_is_shipped():
    shop = desk()
    order = shop.update_shipping_address("12367", "Am Markt 1, 80331 München")
    assert order["shipping_address"] == "Am Markt 1, 80331 München"
    with pytest.raises(DeskError, match="create_ticket"):
        shop.update_shipping_address("12345", "elsewhere")


def test_a_customer_is_found_by_id_name_part_of_a_name_or_email():
    shop = desk()
    for text in ("C-1005", "c-1005", "zoë", "müller", "ZOE.MUELLER@example.com"):
        assert shop.get_customer(text)["name"] == "Zoë Müller"
    with pytest.raises(DeskError, match=r"C-1003 .Chiara Rossi.*one of these ids"):
        shop.get_customer("a")
    with pytest.raises(DeskError, match="C-1001 to C-1008"):
        shop.get_customer("nobody")
    with pytest.raises(DeskError):
        shop.get_customer("  ")


def test_orders_are_searched_by_customer_status_and_product_together():
    shop = desk()
    ids = [row["order_id"] for row in shop.list_orders(customer_id="C-1001")["orders"]]
    assert ids == ["12345", "12330", "12133", "12001"]
    found = shop.list_orders(customer_id="C-1001", status="delivered", product="coffee")
    assert [row["order_id"] for row in found["orders"]] == ["12133"]
    few = shop.list_orders(limit=2)
    assert (len(few["orders"]), few["found"]) == (2, 24)
    assert shop.list_orders(product="' OR 1=1 --") == {"found": 0, "orders": []}


def test_a_ticket_and_a_message_are_kept_and_shown_with_the_customer():
    shop = desk()
    ticket = shop.create_ticket("C-1002", "Kettle", "It leaks.", order_id=12360, priority="high")
    assert shop.list_tickets("open", "C-1002")["tickets"][0]["ticket_id"] == ticket["ticket_id"]
    message = shop.send_message("C-1002", "Your kettle", "We are on it.")
    assert message["simulated"] is True
    assert message["recipient"] == "ben.carter@example.com"
    customer = shop.get_customer("C-1002")
    assert customer["messages"][0]["message_id"] == message["message_id"]
    assert customer["open_tickets"][0]["order_id"] == "12360"
    assert shop.send_message("C-1002", "s", "b", "sms")["recipient"] == "+44 20 5550 0102"


def test_unknown_customers_get_no_ticket_refund_list_or_message():
    shop = desk()
    for ask in (
        lambda: shop.create_ticket("C-9999", "s", "d"),
        lambda: shop.list_orders(customer_id="C-9999"),
        lambda: shop.list_refunds(customer_id="C-9999"),
        lambda: shop.list_tickets(customer_id="C-9999"),
        lambda: shop.send_message("C-9999", "s", "b"),
    ):
        with pytest.raises(DeskError, match="no customer"):
            ask()


def test_a_note_is_added_to_the_order():
    assert desk().add_note("12345", "Called the customer.")["notes"][-1] == {
        "noted_on": "2026-11-22",
        "note": "Called the customer.",
    }


def test_a_file_keeps_the_data_and_its_dates_from_one_start_to_the_next(tmp_path):
    path = tmp_path / "desk.db"
    first = desk(path=path)
    first.refund_order("12345", 20, "x")
    first.close()
    second = desk(date(2026, 11, 24), path)
    order = second.get_order("12345")
    second.close()
    assert order["refunded"] == 20
    assert order["status_text"].startswith("Shipped Saturday, 21 November 2026")


def test_two_processes_may_share_a_file(tmp_path):
    one, two = desk(path=tmp_path / "desk.db"), desk(path=tmp_path / "desk.db")
    one.refund_order("12345", 150, "x")
    with pytest.raises(DeskError, match="at most 50"):
        two.refund_order("12345", 100, "x")
    one.close()
    two.close()


def test_a_database_of_something_else_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="something else") as caught:
        desk(path=path)
    assert caught.value.exit_status is ExitStatus.USAGE
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_and_a_folder_that_is_not_there_are_one_line(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a database, " * 100)
    for path in (text, tmp_path / "none" / "desk.db", tmp_path):
        with pytest.raises(UsageError, match="cannot be used") as caught:
            desk(path=path)
        assert "\n" not in str(caught.value)
    assert text.read_text().startswith("not a database")
