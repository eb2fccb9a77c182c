"""What the order desk starts with, as rows. Money is in cents; days are relative to today.

Order 12345 is the one that the documentation asks about: shipped yesterday, expected on the
coming Thursday. Amounts lie on both sides of 100.00, so that a policy with that threshold has
something to decide about.
"""

import sqlite3
from datetime import date, timedelta

CURRENCY = "EUR"

SCHEMA = """
CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE,
  phone TEXT NOT NULL, tier TEXT NOT NULL, since TEXT NOT NULL);
CREATE TABLE orders (id TEXT PRIMARY KEY, customer_id TEXT NOT NULL REFERENCES customers(id),
  status TEXT NOT NULL, ordered_on TEXT NOT NULL, shipped_on TEXT, expected_on TEXT,
  delivered_on TEXT, carrier TEXT, tracking_number TEXT, shipping_address TEXT NOT NULL);
CREATE TABLE items (order_id TEXT NOT NULL REFERENCES orders(id), product TEXT NOT NULL,
  quantity INTEGER NOT NULL, unit_cents INTEGER NOT NULL);
CREATE TABLE refunds (id TEXT PRIMARY KEY, order_id TEXT NOT NULL REFERENCES orders(id),
  cents INTEGER NOT NULL, reason TEXT NOT NULL, refunded_on TEXT NOT NULL);
CREATE TABLE tickets (id TEXT PRIMARY KEY, customer_id TEXT NOT NULL REFERENCES customers(id),
  order_id TEXT REFERENCES orders(id), subject TEXT NOT NULL, description TEXT NOT NULL,
  priority TEXT NOT NULL, status TEXT NOT NULL, opened_on TEXT NOT NULL);
CREATE TABLE notes (order_id TEXT NOT NULL REFERENCES orders(id), note TEXT NOT NULL,
  noted_on TEXT NOT NULL);
CREATE TABLE messages (id TEXT PRIMARY KEY, customer_id TEXT NOT NULL REFERENCES customers(id),
  channel TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL, recorded_on TEXT NOT NULL);
CREATE INDEX orders_customer ON orders(customer_id);
CREATE INDEX items_order ON items(order_id);
CREATE INDEX refunds_order ON refunds(order_id);
"""

# id, name, email, phone, tier, customer for (days)
CUSTOMERS = (
    ("C-1001", "Ada Lindqvist", "ada.lindqvist@example.com", "+46 8 555 0101", "gold", 1480),
    ("C-1002", "Ben Carter", "ben.carter@example.com", "+44 20 5550 0102", "standard", 611),
    ("C-1003", "Chiara Rossi", "chiara.rossi@example.com", "+39 06 555 0103", "silver", 903),
    ("C-1004", "Dmitri Volkov", "dmitri.volkov@example.com", "+49 30 555 0104", "standard", 75),
    ("C-1005", "Zoë Müller", "zoe.mueller@example.com", "+49 89 555 0105", "gold", 2210),
    ("C-1006", "Farid Haddad", "farid.haddad@example.com", "+33 1 55 50 01 06", "silver", 340),
    ("C-1007", "Grace O'Brien", "grace.obrien@example.com", "+353 1 555 0107", "standard", 18),
    ("C-1008", "Hana Sato", "hana.sato@example.com", "+81 3 5550 0108", "gold", 1777),
)

ADDRESSES = {
    "C-1001": "Storgatan 12, 111 51 Stockholm, Sweden",
    "C-1002": "48 Mill Lane, Leeds LS1 4AB, United Kingdom",
    "C-1003": "Via Garibaldi 7, 00153 Roma, Italy",
    "C-1004": "Torstraße 90, 10119 Berlin, Germany",
    "C-1005": "Leopoldstraße 21, 80802 München, Germany",
    "C-1006": "15 rue des Lilas, 75020 Paris, France",
    "C-1007": "3 Harbour Row, Cork T12 XY34, Ireland",
    "C-1008": "2-4-1 Kanda, Chiyoda-ku, Tokyo 101-0047, Japan",
}

THURSDAY = "thursday"
"""Stands for the first Thursday after today."""

# id, customer, status, ordered, shipped, expected, delivered, carrier, tracking number
ORDERS = (
    ("12001", "C-1001", "delivered", -120, -118, -115, -115, "DHL", "DE4790012"),
    ("12017", "C-1005", "delivered", -96, -95, -92, -93, "DHL", "DE4791177"),
    ("12030", "C-1002", "delivered", -81, -80, -76, -75, "UPS", "1Z55500230"),
    ("12044", "C-1008", "delivered", -77, -75, -68, -70, "FedEx", "FX900120441"),
    ("12058", "C-1003", "delivered", -64, -63, -60, -60, "GLS", "GL77120580"),
    ("12099", "C-1005", "cancelled", -58, None, None, None, None, None),
    ("12120", "C-1006", "delivered", -49, -48, -45, -46, "DHL", "DE4799120"),
    ("12133", "C-1001", "delivered", -44, -43, -40, -40, "DHL", "DE4800133"),
    ("12170", "C-1008", "delivered", -37, -35, -29, -30, "FedEx", "FX900121700"),
    ("12188", "C-1004", "delivered", -30, -29, -26, -26, "DHL", "DE4806188"),
    ("12210", "C-1002", "delivered", -24, -23, -19, -18, "UPS", "1Z55512210"),
    ("12241", "C-1003", "delivered", -20, -19, -16, -15, "GLS", "GL77122410"),
    ("12260", "C-1005", "delivered", -15, -14, -11, -11, "DHL", "DE4820260"),
    ("12288", "C-1006", "delayed", -11, -10, -6, None, "DHL", "DE4826288"),
    ("12301", "C-1008", "delivered", -10, -9, -3, -4, "FedEx", "FX900123010"),
    ("12319", "C-1007", "shipped", -5, -3, 2, None, "UPS", "1Z55523190"),
    ("12330", "C-1001", "delivered", -9, -8, -5, -5, "DHL", "DE4830330"),
    ("12345", "C-1001", "shipped", -3, -1, THURSDAY, None, "DHL", "DE4839201"),
    ("12351", "C-1004", "shipped", -3, -2, 1, None, "GLS", "GL77123510"),
    ("12360", "C-1002", "processing", -2, None, 4, None, None, None),
    ("12367", "C-1005", "processing", -1, None, 5, None, None, None),
    ("12372", "C-1003", "processing", -1, None, 3, None, None, None),
    ("12378", "C-1008", "awaiting_payment", 0, None, None, None, None, None),
    ("12380", "C-1007", "processing", 0, None, 6, None, None, None),
)

# order, product, quantity, cents each
ITEMS = (
    ("12001", "Espresso machine Brio", 1, 32900),
    ("12017", "Desk lamp Arc", 2, 4950),
    ("12030", "Wool blanket", 1, 7900),
    ("12044", "Mechanical keyboard K2", 1, 13900),
    ("12044", "Wrist rest", 1, 1990),
    ("12058", "Cast iron pan 28 cm", 1, 5490),
    ("12099", "Garden chair", 4, 6400),
    ("12120", "Bluetooth speaker Mini", 1, 4490),
    ("12133", "Coffee grinder Fine", 1, 8950),
    ("12170", "Monitor arm", 2, 8900),
    ("12188", "Running shoes Trail 42", 1, 11990),
    ("12210", "Backpack 24 l", 1, 6450),
    ("12241", "Chef's knife 20 cm", 1, 8900),
    ("12241", "Cutting board oak", 1, 3900),
    ("12260", "Noise cancelling headphones", 1, 27900),
    ("12288", "Air purifier Leaf", 1, 18900),
    ("12301", "USB-C dock", 1, 16400),
    ("12319", "Rain jacket L", 1, 9950),
    ("12330", "Descaling set", 3, 1290),
    ("12345", "Standing desk mat", 1, 8900),
    ("12345", "Desk organiser walnut", 2, 4450),
    ("12345", "Cable tray", 1, 2200),
    ("12351", "Yoga mat", 1, 3490),
    ("12360", "Tea kettle Steel", 1, 5900),
    ("12367", "Office chair Flex", 1, 41900),
    ("12372", "Pasta machine", 1, 7450),
    ("12378", "Camera bag", 1, 9900),
    ("12380", "Bicycle light set", 2, 2490),
)

# id, order, cents, reason, day
REFUNDS = (
    ("R-301", "12030", 1500, "Late delivery, goodwill", -74),
    ("R-302", "12044", 1990, "Wrist rest arrived torn", -66),
    ("R-303", "12099", 25600, "Order cancelled by the customer", -57),
    ("R-304", "12188", 11990, "Returned: wrong size", -21),
    ("R-305", "12260", 4000, "Scratched headband", -8),
    ("R-306", "12330", 1290, "One of three boxes missing", -4),
)

# id, customer, order, subject, description, priority, status, day
TICKETS = (
    ("T-501", "C-1002", "12030", "Parcel late", "Promised on the 5th, came later.", "low",
     "closed", -76),
    ("T-502", "C-1008", "12044", "Torn wrist rest", "Photo attached; please refund it.", "normal",
     "closed", -68),
    ("T-503", "C-1006", "12288", "Where is my air purifier?",
     "Tracking DE4826288 has not moved for five days.", "high", "open", -3),
    ("T-504", "C-1005", "12260", "Headband scratched again",
     "The replacement is scratched as well; wants 60.00 more back.", "normal", "open", -2),
    ("T-505", "C-1007", "12319", "Deliver to a neighbour",
     "Nobody at home on weekdays; number 5 takes parcels.", "normal", "pending", -1),
    ("T-506", "C-1003", "12241", "Knife handle loose", "Asks for a replacement, not a refund.",
     "high", "open", -1),
    ("T-507", "C-1004", None, "Change of e-mail address", "Wants the newsletter elsewhere.", "low",
     "open", 0),
)  # fmt: skip

# order, note, day
NOTES = (
    ("12288", "Carrier opened an investigation, reference INV-88120.", -2),
    ("12319", "Customer asked for delivery to number 5.", -1),
    ("12367", "Assembly service booked with delivery.", -1),
)

# id, customer, channel, subject, body, day
MESSAGES = (
    ("M-701", "C-1001", "email", "Your order 12345 is on its way",
     "DHL has it: tracking number DE4839201.", -1),
    ("M-702", "C-1006", "email", "Your order 12288 is delayed",
     "We have asked DHL to find the parcel and will write again.", -3),
    ("M-703", "C-1008", "sms", "Payment reminder", "Order 12378 waits for your payment.", 0),
)  # fmt: skip


def fill(connection: sqlite3.Connection, today: date) -> None:
    """Create the tables in an empty database and put the rows in, dated relative to `today`."""

    def day(offset: int | str | None) -> str | None:
        if isinstance(offset, str):
            return (today + timedelta(days=(3 - today.weekday() - 1) % 7 + 1)).isoformat()
        return None if offset is None else (today + timedelta(days=offset)).isoformat()

    put = connection.executemany
    put(
        "INSERT INTO customers VALUES (?,?,?,?,?,?)",
        ((*row[:5], day(-row[5])) for row in CUSTOMERS),
    )
    put(
        "INSERT INTO orders VALUES (?,?,?,?,?,?,?,?,?,?)",
        ((*row[:3], *map(day, row[3:7]), *row[7:], ADDRESSES[row[1]]) for row in ORDERS),
    )
    put("INSERT INTO items VALUES (?,?,?,?)", ITEMS)
    put("INSERT INTO refunds VALUES (?,?,?,?,?)", ((*row[:4], day(row[4])) for row in REFUNDS))
    put(
        "INSERT INTO tickets VALUES (?,?,?,?,?,?,?,?)", ((*row[:7], day(row[7])) for row in TICKETS)
    )
    put("INSERT INTO notes VALUES (?,?,?)", ((*row[:2], day(row[2])) for row in NOTES))
    put("INSERT INTO messages VALUES (?,?,?,?,?,?)", ((*row[:5], day(row[5])) for row in MESSAGES))
