"""`agent-host audit`: look at the audit log, verify it, export it, send it.

Theory of operation: what reads takes no lock and changes nothing, so it may be used while a run
writes. The folder is the one that the config names, found without validating the whole of it;
`--folder` looks at any other, as at a copy. What the log holds is cleaned before it is printed.
Each action has a file of its own; this one is the table.
"""

import argparse

from agent_host.cli import audit_export, audit_send, audit_show, audit_verify

ACTIONS = (
    ("show", audit_show.configure_show, audit_show.show, "show the newest entries, or some"),
    ("query", audit_show.configure_query, audit_show.query, "find entries: who, what tool, when"),
    (
        "verify",
        audit_verify.configure_verify,
        audit_verify.verify,
        "show that nothing was changed",
    ),
    (
        "checkpoint",
        audit_verify.configure_checkpoint,
        audit_verify.checkpoint,
        "print the last entry's number and hash, to keep elsewhere",
    ),
    ("export", audit_export.configure, audit_export.export, "write entries as OCSF, CEF or OTLP"),
    ("send", audit_send.configure, audit_send.send, "send what waits to the collector"),
)
"""Name, what adds its options, what runs it, one line of help."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, add, _, text in ACTIONS:
        action = actions.add_parser(name, help=text, description=f"{text[:1].upper()}{text[1:]}.")
        add(action)
        action.add_argument("--folder", metavar="DIR", help="the log's folder, if it is another")


def execute(options: argparse.Namespace) -> int:
    """Run the chosen action and return its exit status."""
    chosen = next(run for name, _, run, _ in ACTIONS if name == options.action)
    return chosen(options)
