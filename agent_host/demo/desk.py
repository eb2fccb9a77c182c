"""The order desk: what a shop's employee can look up and do, kept in SQLite.

Theory of operation: one method a tool, taking arguments that already fit the tool's schema and
returning plain JSON values. A request that the shop cannot grant is a `DeskError` whose text says
what is possible instead. Changes are immediate transactions, so that several processes may share
one file. Money is kept in cents and leaves as a number of currency units. Today comes from an
injected clock.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import Any

from agent_host.core.errors import UsageError
from agent_host.core.text import clean_line
from agent_host.demo.seed import CURRENCY, SCHEMA, fill

APPLICATION_ID = 0x4F444553
"""Marks a database file as an order desk (`PRAGMA application_id`), so no other is touched."""

CANCELLABLE = ("processing", "awaiting_payment")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_ORDERS = """SELECT o.*, c.name AS customer_name,
  (SELECT coalesce(sum(quantity * unit_cents), 0) FROM items WHERE order_id = o.id) AS cents,
  (SELECT coalesce(sum(cents), 0) FROM refunds WHERE order_id = o.id) AS refunded
  FROM orders o JOIN customers c ON c.id = o.customer_id"""

Row = dict[str, Any]


class DeskError(Exception):
    """What the shop cannot do, and what can be done instead; told to whoever asked."""


def spoken(day: str | date, today: date) -> str:
    """Return a day as people say it: `yesterday (Saturday, 21 November 2026)`."""
    day = date.fromisoformat(day) if isinstance(day, str) else day
    text = f"{_WEEKDAYS[day.weekday()]}, {day.day} {_MONTHS[day.month - 1]} {day.year}"
    near = {-1: "yesterday", 0: "today", 1: "tomorrow"}.get((day - today).days)
    return f"{near} ({text})" if near else text


def _money(cents: int) -> float:
    return round(cents / 100, 2)


def _cents(amount: float) -> int:
    cents = round(amount * 100)
    if abs(amount * 100 - cents) > 1e-6:
        raise DeskError(f"{amount} has more than two decimals. Use a whole number of cents.")
    return cents


class Desk:
    """The shop. `today` is asked again for each call, as a server may run for days."""

    def __init__(self, connection: sqlite3.Connection, today: Callable[[], date]) -> None:
        self._connection = connection
        self._today = today

    @classmethod
    def open(cls, path: Path | None, today: Callable[[], date]) -> "Desk":
        """Open or create the database; None means a private one in memory, freshly filled.

        Raises UsageError if the file cannot be used or is not an order desk's.
        """
        try:
            connection = sqlite3.connect(
                ":memory:" if path is None else path, timeout=2, isolation_level=None
            )
            try:
                connection.row_factory = sqlite3.Row
                desk = cls(connection, today)
                desk._prepare(path)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise UsageError(
                f"demo-server: the database {clean_line(str(path))} cannot be used: "
                f"{clean_line(str(error))}; name a new file in a writable folder"
            ) from None
        return desk

    def _prepare(self, path: Path | None) -> None:
        execute = self._connection.execute
        with self._change():
            mark = execute("PRAGMA application_id").fetchone()[0]
            used = execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if mark != APPLICATION_ID and used:
                raise UsageError(
                    f"demo-server: {clean_line(str(path))} is a database of something else; "
                    "name a new file"
                )
            if not used:
                for statement in SCHEMA.split(";\n"):
                    execute(statement)
                fill(self._connection, self._today())
                execute(f"PRAGMA application_id = {APPLICATION_ID}")
        execute("PRAGMA foreign_keys = ON")

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _change(self) -> AbstractContextManager[sqlite3.Connection]:
        """A transaction that takes the write lock at once: read, judge and write are one step."""
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[Row]:
        return [dict(row) for row in self._connection.execute(query, values)]

    def _next_id(self, table: str, prefix: str) -> str:
        (highest,) = self._connection.execute(
            f"SELECT max(CAST(substr(id, 3) AS INTEGER)) FROM {table}"  # noqa: S608 - own constants
        ).fetchone()
        return f"{prefix}-{(highest or 0) + 1}"

    # Orders

    def _order_row(self, order_id: str | int) -> Row:
        wanted = str(order_id).strip().lstrip("#")
        rows = self._rows(f"{_ORDERS} WHERE o.id = ?", (wanted,))
        if rows:
            return rows[0]
        near: list[Row] = []
        if wanted.isascii() and wanted.isdigit() and len(wanted) < 16:
            near = self._rows(
                "SELECT id FROM orders ORDER BY abs(CAST(id AS INTEGER) - ?), id LIMIT 3",
                (int(wanted),),
            )
        hint = f" The nearest are {', '.join(row['id'] for row in near)}." if near else ""
        raise DeskError(
            f"There is no order {clean_line(wanted, 40)}.{hint} Use list_orders to find orders "
            "by customer, status or product."
        )

    def _status_text(self, row: Row) -> str:
        today = self._today()
        shipped = f"via {row['carrier']}, tracking {row['tracking_number']}"
        if row["status"] == "delivered":
            return f"Delivered {spoken(row['delivered_on'], today)} {shipped}"
        if row["status"] in ("shipped", "delayed"):
            late = "Delayed. " if row["status"] == "delayed" else ""
            return (
                f"{late}Shipped {spoken(row['shipped_on'], today)} {shipped}, "
                f"expected {spoken(row['expected_on'], today)}"
            )
        if row["status"] == "processing":
            return f"Being packed, expected {spoken(row['expected_on'], today)}"
        return {"cancelled": "Cancelled"}.get(row["status"], "Waiting for payment")

    def _summary(self, row: Row) -> Row:
        return {
            "order_id": row["id"],
            "status": row["status"],
            "status_text": self._status_text(row),
            "customer_id": row["customer_id"],
            "customer_name": row["customer_name"],
            "ordered_on": row["ordered_on"],
            "total": _money(row["cents"]),
            "currency": CURRENCY,
        }

    def _order(self, order_id: str | int) -> Row:
        row = self._order_row(order_id)
        items = self._rows(
            "SELECT product, quantity, unit_cents FROM items WHERE order_id = ? ORDER BY rowid",
            (row["id"],),
        )
        notes = self._rows(
            "SELECT noted_on, note FROM notes WHERE order_id = ? ORDER BY rowid", (row["id"],)
        )
        known = ("carrier", "tracking_number", "shipped_on", "expected_on", "delivered_on")
        return {
            **self._summary(row),
            **{key: row[key] for key in known if row[key] is not None},
            "shipping_address": row["shipping_address"],
            "refunded": _money(row["refunded"]),
            "refundable": _money(self._refundable(row)),
            "items": [
                {
                    "product": item["product"],
                    "quantity": item["quantity"],
                    "unit_price": _money(item["unit_cents"]),
                }
                for item in items
            ],
            "notes": notes,
        }

    @staticmethod
    def _refundable(row: Row) -> int:
        unpaid = row["status"] == "awaiting_payment"
        return 0 if unpaid else int(row["cents"]) - int(row["refunded"])

    def get_order(self, order_id: str | int) -> Row:
        """Return one order, whole."""
        return self._order(order_id)

    def list_orders(
        self, customer_id: str = "", status: str = "", product: str = "", limit: int = 10
    ) -> Row:
        """Return the newest orders that match all that is given."""
        if customer_id:
            self._customer_row(customer_id)
        found = self._rows(
            f"""{_ORDERS} WHERE (? = '' OR o.status = ?)
            AND (? = '' OR c.id = ?)
            AND (? = '' OR EXISTS (SELECT 1 FROM items i WHERE i.order_id = o.id
              AND instr(lower(i.product), lower(?)) > 0))
            ORDER BY o.ordered_on DESC, o.id DESC""",  # noqa: S608 - own constant
            (*(status,) * 2, *(customer_id,) * 2, *(product.strip(),) * 2),
        )
        return {"found": len(found), "orders": [self._summary(row) for row in found[:limit]]}

    def refund_order(self, order_id: str | int, amount: float, reason: str) -> Row:
        """Pay back a part or all of an order."""
        with self._change():
            row = self._order_row(order_id)
            left = self._refundable(row)
            cents = _cents(amount)
            if row["status"] == "awaiting_payment":
                raise DeskError(f"Order {row['id']} is not paid yet: there is nothing to refund.")
            if cents > left:
                raise DeskError(
                    f"{amount:.2f} {CURRENCY} is more than what is left of order {row['id']}: it "
                    f"cost {_money(row['cents']):.2f}, {_money(row['refunded']):.2f} was refunded "
                    f"already, so at most {_money(left):.2f} can be refunded."
                )
            refund_id = self._next_id("refunds", "R")
            self._connection.execute(
                "INSERT INTO refunds VALUES (?,?,?,?,?)",
                (refund_id, row["id"], cents, reason, self._today().isoformat()),
            )
        return {
            "refund_id": refund_id,
            "order_id": row["id"],
            "amount": _money(cents),
            "currency": CURRENCY,
            "reason": reason,
            "refundable": _money(left - cents),
        }

    def list_refunds(self, order_id: str | int = "", customer_id: str = "") -> Row:
        """Return the refunds, newest first."""
        wanted = self._order_row(order_id)["id"] if str(order_id) else ""
        if customer_id:
            self._customer_row(customer_id)
        rows = self._rows(
            """SELECT r.id AS refund_id, r.order_id, o.customer_id, r.cents, r.reason,
            r.refunded_on FROM refunds r JOIN orders o ON o.id = r.order_id
            WHERE (? = '' OR r.order_id = ?) AND (? = '' OR o.customer_id = ?)
            ORDER BY r.refunded_on DESC, r.rowid DESC LIMIT 50""",
            (*(wanted,) * 2, *(customer_id,) * 2),
        )
        refunds = [{**row, "amount": _money(row["cents"]), "currency": CURRENCY} for row in rows]
        for refund in refunds:
            del refund["cents"]
        total = sum(row["cents"] for row in rows)
        return {"found": len(rows), "total": _money(total), "refunds": refunds}

    def update_shipping_address(self, order_id: str | int, address: str) -> Row:
        """Change where an order goes, as long as it is not on its way."""
        with self._change():
            row = self._order_row(order_id)
            if row["status"] not in CANCELLABLE:
                raise DeskError(
                    f"Order {row['id']} is {row['status']}: its address cannot be changed any "
                    "more. Use create_ticket to have the carrier asked."
                )
            self._connection.execute(
                "UPDATE orders SET shipping_address = ? WHERE id = ?", (address, row["id"])
            )
            return self._order(row["id"])

    def add_note(self, order_id: str | int, note: str) -> Row:
        """Put a note for colleagues on an order."""
        with self._change():
            row = self._order_row(order_id)
            self._connection.execute(
                "INSERT INTO notes VALUES (?,?,?)", (row["id"], note, self._today().isoformat())
            )
            return self._order(row["id"])

    def cancel_order(self, order_id: str | int, reason: str) -> Row:
        """Cancel an order that has not been shipped; a cancelled one stays as it is."""
        with self._change():
            row = self._order_row(order_id)
            if row["status"] not in (*CANCELLABLE, "cancelled"):
                raise DeskError(
                    f"Order {row['id']} is {row['status']} and cannot be cancelled any more. "
                    "Use refund_order to pay it back."
                )
            if row["status"] != "cancelled":
                self._connection.execute(
                    "UPDATE orders SET status = 'cancelled', expected_on = NULL WHERE id = ?",
                    (row["id"],),
                )
                self._connection.execute(
                    "INSERT INTO notes VALUES (?,?,?)",
                    (row["id"], f"Cancelled: {reason}", self._today().isoformat()),
                )
            return self._order(row["id"])

    # Customers, tickets, messages

    def _customer_row(self, customer: str) -> Row:
        name = customer.strip()
        rows = self._rows(
            """SELECT * FROM customers WHERE id = upper(?) OR email = lower(?)
            OR instr(lower(name), lower(?)) > 0 ORDER BY id""",
            (name, name, name or "\0"),
        )
        exact = [row for row in rows if name.lower() in (row["name"].lower(), row["id"].lower())]
        rows = exact or rows
        if len(rows) == 1:
            return rows[0]
        if rows:
            found = ", ".join(f"{row['id']} ({row['name']})" for row in rows)
            raise DeskError(f"Several customers match: {found}. Use one of these ids.")
        ids = self._rows("SELECT min(id) AS low, max(id) AS high FROM customers")[0]
        raise DeskError(
            f"There is no customer {clean_line(name, 80)!r}. Customer ids go from {ids['low']} to "
            f"{ids['high']}; a name or an e-mail address works too."
        )

    def get_customer(self, customer: str) -> Row:
        """Return one customer with the orders, open tickets and messages."""
        row = self._customer_row(customer)
        orders = self._rows(f"{_ORDERS} WHERE o.customer_id = ? ORDER BY o.id DESC", (row["id"],))
        return {
            "customer_id": row["id"],
            "name": row["name"],
            "email": row["email"],
            "phone": row["phone"],
            "tier": row["tier"],
            "customer_since": row["since"],
            "orders": [
                {key: summary[key] for key in ("order_id", "status", "ordered_on", "total")}
                for summary in map(self._summary, orders)
            ],
            "open_tickets": self._tickets("open", row["id"]),
            "messages": self._rows(
                """SELECT id AS message_id, channel, subject, recorded_on FROM messages
                WHERE customer_id = ? ORDER BY rowid DESC LIMIT 20""",
                (row["id"],),
            ),
        }

    def _tickets(self, status: str, customer_id: str) -> list[Row]:
        rows = self._rows(
            """SELECT id AS ticket_id, customer_id, order_id, subject, description, priority,
            status, opened_on FROM tickets WHERE (? = '' OR status = ?)
            AND (? = '' OR customer_id = ?) ORDER BY opened_on DESC, rowid DESC LIMIT 50""",
            (*(status,) * 2, *(customer_id,) * 2),
        )
        return [{key: value for key, value in row.items() if value is not None} for row in rows]

    def list_tickets(self, status: str = "", customer_id: str = "") -> Row:
        """Return the support tickets, newest first."""
        if customer_id:
            self._customer_row(customer_id)
        tickets = self._tickets(status, customer_id)
        return {"found": len(tickets), "tickets": tickets}

    def create_ticket(
        self,
        customer_id: str,
        subject: str,
        description: str,
        order_id: str | int = "",
        priority: str = "normal",
    ) -> Row:
        """Open a support ticket."""
        with self._change():
            customer = self._customer_row(customer_id)
            order = self._order_row(order_id)["id"] if str(order_id) else None
            ticket_id = self._next_id("tickets", "T")
            self._connection.execute(
                "INSERT INTO tickets VALUES (?,?,?,?,?,?,'open',?)",
                (
                    *(ticket_id, customer["id"], order, subject, description, priority),
                    self._today().isoformat(),
                ),
            )
        return {"ticket_id": ticket_id, "customer_id": customer["id"], "status": "open"}

    def send_message(
        self, customer_id: str, subject: str, body: str, channel: str = "email"
    ) -> Row:
        """Record a message to a customer. The demo sends nothing, and says so."""
        with self._change():
            customer = self._customer_row(customer_id)
            message_id = self._next_id("messages", "M")
            self._connection.execute(
                "INSERT INTO messages VALUES (?,?,?,?,?,?)",
                (message_id, customer["id"], channel, subject, body, self._today().isoformat()),
            )
        return {
            "message_id": message_id,
            "recipient": customer["email"] if channel == "email" else customer["phone"],
            "channel": channel,
            "simulated": True,
            "delivery": "Recorded only: the demo sends nothing to anybody.",
        }
