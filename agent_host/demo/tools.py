"""What the order desk offers: one row a tool, its definition beside the function behind it.

Schemas are written out (JSON Schema 2020-12) instead of derived from signatures: building models
for them costs 0.15 s of start, and this server is started for every run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent_host.demo.desk import Desk

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskTool:
    """A tool: its definition (MCP `Tool`) and the method of the desk that does it."""

    name: str
    title: str
    description: str
    input: Schema
    output: Schema
    run: Callable[..., dict[str, Any]]
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False
    open_world: bool = False


def _object(properties: Schema, required: tuple[str, ...] | None = None) -> Schema:
    """An object with these properties and no others; all are required unless said."""
    needed = list(properties if required is None else required)
    return {
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": False,
    }


def _string(description: str, limit: int = 200) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": limit, "description": description}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_DAY: Schema = {"type": "string", "format": "date"}
_MONEY: Schema = {"type": "number", "minimum": 0}
_STATUSES = ["awaiting_payment", "processing", "shipped", "delayed", "delivered", "cancelled"]
_TICKET_STATUSES = ["open", "pending", "closed"]

_ORDER_ID: Schema = {
    "type": ["string", "integer"],
    "pattern": "^#?[0-9]{5}$",
    "description": "The order number: five digits, for example 12345.",
    "examples": ["12345"],
}
_CUSTOMER_ID: Schema = {
    "type": "string",
    "pattern": "^C-[0-9]{4}$",
    "description": "The customer id, for example C-1001.",
    "examples": ["C-1001"],
}

_SUMMARY: Schema = {
    "order_id": _TEXT,
    "status": {"type": "string", "enum": _STATUSES},
    "status_text": {"type": "string", "description": "The status in one sentence for people."},
    "customer_id": _TEXT,
    "customer_name": _TEXT,
    "ordered_on": _DAY,
    "total": _MONEY,
    "currency": _TEXT,
}
_ORDER = _object(
    {
        **_SUMMARY,
        "carrier": _TEXT,
        "tracking_number": _TEXT,
        "shipped_on": _DAY,
        "expected_on": _DAY,
        "delivered_on": _DAY,
        "shipping_address": _TEXT,
        "refunded": _MONEY,
        "refundable": {**_MONEY, "description": "How much may still be refunded."},
        "items": _list(_object({"product": _TEXT, "quantity": _COUNT, "unit_price": _MONEY})),
        "notes": _list(_object({"noted_on": _DAY, "note": _TEXT})),
    },
    (*_SUMMARY, "shipping_address", "refunded", "refundable", "items", "notes"),
)
_REFUND: Schema = {
    "refund_id": _TEXT,
    "order_id": _TEXT,
    "amount": _MONEY,
    "currency": _TEXT,
    "reason": _TEXT,
}
_TICKET = _object(
    {
        "ticket_id": _TEXT,
        "customer_id": _TEXT,
        "order_id": _TEXT,
        "subject": _TEXT,
        "description": _TEXT,
        "priority": _TEXT,
        "status": {"type": "string", "enum": _TICKET_STATUSES},
        "opened_on": _DAY,
    },
    ("ticket_id", "customer_id", "subject", "description", "priority", "status", "opened_on"),
)

_READERS = (
    DeskTool(
        name="get_order",
        title="Look up an order",
        description="Get one order by its number: status, when it was shipped, carrier, tracking "
        "number, expected delivery, items, total, refunds and notes.",
        read_only=True,
        idempotent=True,
        input=_object({"order_id": _ORDER_ID}),
        output=_ORDER,
        run=Desk.get_order,
    ),
    DeskTool(
        name="list_orders",
        title="List orders",
        description="List or search orders by customer, status or product, newest first.",
        read_only=True,
        idempotent=True,
        input=_object(
            {
                "customer_id": _CUSTOMER_ID,
                "status": {
                    "type": "string",
                    "enum": _STATUSES,
                    "description": "Only orders in this state.",
                },
                "product": _string("A part of a product's name."),
                "limit": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 50,
                    "default": 10,
                    "description": "How many orders to return at most.",
                },
            },
            (),
        ),
        output=_object({"found": _COUNT, "orders": _list(_object(_SUMMARY))}),
        run=Desk.list_orders,
    ),
    DeskTool(
        name="get_customer",
        title="Look up a customer",
        description="Get one customer: contact details, tier, orders, open tickets and messages.",
        read_only=True,
        idempotent=True,
        input=_object({"customer": _string("The customer's id, full name or e-mail address.")}),
        output=_object(
            {
                "customer_id": _TEXT,
                "name": _TEXT,
                "email": _TEXT,
                "phone": _TEXT,
                "tier": _TEXT,
                "customer_since": _DAY,
                "orders": _list(
                    _object(
                        {"order_id": _TEXT, "status": _TEXT, "ordered_on": _DAY, "total": _MONEY}
                    )
                ),
                "open_tickets": _list(_TICKET),
                "messages": _list(
                    _object(
                        {
                            "message_id": _TEXT,
                            "channel": _TEXT,
                            "subject": _TEXT,
                            "recorded_on": _DAY,
                        }
                    )
                ),
            }
        ),
        run=Desk.get_customer,
    ),
    DeskTool(
        name="list_refunds",
        title="List refunds",
        description="List refunds that were made, of all orders, one order or one customer.",
        read_only=True,
        idempotent=True,
        input=_object({"order_id": _ORDER_ID, "customer_id": _CUSTOMER_ID}, ()),
        output=_object(
            {
                "found": _COUNT,
                "total": _MONEY,
                "refunds": _list(_object({**_REFUND, "customer_id": _TEXT, "refunded_on": _DAY})),
            }
        ),
        run=Desk.list_refunds,
    ),
    DeskTool(
        name="list_tickets",
        title="List support tickets",
        description="List support tickets, of all customers or one, by state.",
        read_only=True,
        idempotent=True,
        input=_object(
            {
                "status": {
                    "type": "string",
                    "enum": _TICKET_STATUSES,
                    "description": "Only tickets in this state.",
                },
                "customer_id": _CUSTOMER_ID,
            },
            (),
        ),
        output=_object({"found": _COUNT, "tickets": _list(_TICKET)}),
        run=Desk.list_tickets,
    ),
)

_CHANGERS = (
    DeskTool(
        name="refund_order",
        title="Refund an order",
        description="Refund a part or all of an order: pays money back to the customer.",
        input=_object(
            {
                "order_id": _ORDER_ID,
                "amount": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": 100000,
                    "description": "How much to pay back, in EUR, at most two decimals.",
                },
                "reason": _string("Why, in a sentence; the customer sees it.", 500),
            }
        ),
        output=_object({**_REFUND, "refundable": _MONEY}),
        run=Desk.refund_order,
    ),
    DeskTool(
        name="create_ticket",
        title="Open a support ticket",
        description="Create a support ticket for a customer, to be worked on by a colleague.",
        input=_object(
            {
                "customer_id": _CUSTOMER_ID,
                "subject": _string("What it is about, in a few words."),
                "description": _string("What happened and what the customer wants.", 4000),
                "order_id": _ORDER_ID,
                "priority": {
                    "type": "string",
                    "enum": ["low", "normal", "high"],
                    "default": "normal",
                    "description": "How urgent it is.",
                },
            },
            ("customer_id", "subject", "description"),
        ),
        output=_object({"ticket_id": _TEXT, "customer_id": _TEXT, "status": _TEXT}),
        run=Desk.create_ticket,
    ),
    DeskTool(
        name="update_shipping_address",
        title="Change a shipping address",
        description="Change the shipping address of an order that has not been shipped yet.",
        idempotent=True,
        destructive=True,
        input=_object(
            {
                "order_id": _ORDER_ID,
                "address": _string("The whole new address on one line.", 300),
            }
        ),
        output=_ORDER,
        run=Desk.update_shipping_address,
    ),
    DeskTool(
        name="add_note",
        title="Add a note to an order",
        description="Add an internal note to an order; only colleagues see it.",
        input=_object({"order_id": _ORDER_ID, "note": _string("The note.", 1000)}),
        output=_ORDER,
        run=Desk.add_note,
    ),
    DeskTool(
        name="cancel_order",
        title="Cancel an order",
        description="Cancel an order that has not been shipped. This cannot be undone.",
        destructive=True,
        idempotent=True,
        input=_object({"order_id": _ORDER_ID, "reason": _string("Why it is cancelled.", 500)}),
        output=_ORDER,
        run=Desk.cancel_order,
    ),
    DeskTool(
        name="send_message",
        title="Send a message to a customer",
        description="Send an e-mail or SMS to a customer. (In this demo it is only recorded.)",
        open_world=True,
        input=_object(
            {
                "customer_id": _CUSTOMER_ID,
                "subject": _string("The subject line."),
                "body": _string("The text of the message.", 4000),
                "channel": {
                    "type": "string",
                    "enum": ["email", "sms"],
                    "default": "email",
                    "description": "How it is sent.",
                },
            },
            ("customer_id", "subject", "body"),
        ),
        output=_object(
            {
                "message_id": _TEXT,
                "recipient": _TEXT,
                "channel": _TEXT,
                "simulated": {"type": "boolean"},
                "delivery": _TEXT,
            }
        ),
        run=Desk.send_message,
    ),
)

TOOLS = {tool.name: tool for tool in (*_READERS, *_CHANGERS)}
"""Every tool by name, in the order in which they are listed."""
