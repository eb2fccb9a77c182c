"""The first policy that `servers add` offers for a server.

Theory of operation: after the server is written (and, where it was connected to, its tools are
known), what `policy.starters` proposes is shown as the lines that would be added, and a person is
asked: first about labels and what asks or denies, then, apart from that, about what would run
without a question. Where nobody can be asked nothing is added unless a flag says so: `--policy` for
the former, `--allow-reads` for the latter too. What was shown is then trusted, and nothing else of
the file.
"""

import argparse
import os
import sys
from dataclasses import dataclass

from agent_host.cli.adding import Addition
from agent_host.cli.trusting import at_terminal, confirmed
from agent_host.config import paths
from agent_host.config.edit import rewrite
from agent_host.config.edit_policy import PolicyPart, with_policy
from agent_host.config.load import Loaded, load, loaded_as
from agent_host.config.trust import TrustStore, is_demo, items_of, needs_trust, trust_these
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean, clean_line
from agent_host.host.known import known_tools
from agent_host.policy.starters import Proposal, proposed


def add_policy_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say whether to take the policy that is offered."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--policy",
        action="store_true",
        help="add its first policy: labels, and what asks or denies (default: asked at a terminal)",
    )
    which.add_argument(
        "--no-policy", action="store_true", help="add no policy, and do not ask about one"
    )
    parser.add_argument(
        "--allow-reads",
        action="store_true",
        help="with --policy: also the rules that let tools run without a question",
    )


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a person wants of a proposal."""

    asks: bool
    allows: bool


def offer(options: argparse.Namespace, loaded: Loaded, name: str) -> None:
    """Offer a policy for a server that was just added; write what is wanted.

    Never fails what was added: what cannot be written is said on stderr.
    """
    if options.no_policy:
        return
    proposal = _proposal(loaded, name)
    if not proposal:
        if options.policy:
            sys.stderr.write("there is no policy to propose for it\n")
        return
    wish = _wish(options, proposal, name)
    if not wish.asks:
        return
    part = _part(proposal, name, allows=wish.allows)
    try:
        write_policy(loaded, part)
    except ConfigError as error:
        sys.stderr.write(f"the policy was not added: {clean(str(error))}\n")
        return
    rules = len(part.rules)
    sys.stdout.write(f"added {rules} rule{'' if rules == 1 else 's'} to {loaded.name}\n")


def dry(options: argparse.Namespace, addition: Addition) -> None:
    """Print the policy that would be added, as far as it is known without connecting."""
    if not options.policy:
        return
    proposal = proposed(
        addition.name,
        command=_command(addition.table.get("command"), addition.table.get("args", ())),
        url=addition.table.get("url", ""),
    )
    part = _part(proposal, addition.name, allows=options.allow_reads)
    sys.stdout.write(f"\n{_text(part)}" if proposal else "")


def _command(program: object, args: object) -> tuple[str, ...]:
    words = args if isinstance(args, list | tuple) else ()
    return (str(program), *map(str, words)) if program else ()


def _proposal(loaded: Loaded, name: str) -> Proposal:
    server = loaded.config.servers[name]
    if is_demo(server):
        return Proposal(about="")
    found = proposed(
        name,
        command=_command(server.command, server.args),
        url=server.url or "",
        tools=known_tools(loaded).get(name),
    )
    return found.renamed({rule.id for layer in loaded.layers for rule in layer.policy.rules})


def _wish(options: argparse.Namespace, proposal: Proposal, name: str) -> _Wish:
    if options.policy:
        return _Wish(asks=True, allows=options.allow_reads)
    if options.yes or not at_terminal(sys.stdin, sys.stderr):
        sys.stderr.write(
            f"there is a first policy for it ({clean_line(proposal.about, 200)}): "
            "--policy adds it\n"
        )
        return _Wish(asks=False, allows=False)
    about = clean_line(proposal.about, 300)
    asks = _part(proposal, name, allows=False)
    shown = f"\n{clean(_text(asks))}\n" if asks.labels or asks.rules else "\n"
    sys.stderr.write(f"\na first policy for {clean_line(name, 80)}, {about}:\n{shown}")
    if not confirmed("Add these?"):
        return _Wish(asks=False, allows=False)
    if not proposal.allows:
        return _Wish(asks=True, allows=False)
    rules = PolicyPart(server=name, rules=proposal.allows)
    sys.stderr.write(f"\nthese would let tools run without a question:\n\n{clean(_text(rules))}\n")
    return _Wish(asks=True, allows=confirmed("Add these, too?"))


def _part(proposal: Proposal, name: str, *, allows: bool) -> PolicyPart:
    return PolicyPart(
        server=name,
        labels=proposal.labels,
        rules=[*proposal.rules, *(proposal.allows if allows else ())],
        totals=proposal.totals,
    )


def _text(part: PolicyPart) -> str:
    return "\n".join(filter(None, (part.labels_text, part.rules_text)))


def write_policy(loaded: Loaded, part: PolicyPart) -> None:
    """Write it, and trust what it changes of what was trusted. Raises ConfigError; then the file
    is as it was."""
    store = TrustStore.users()

    def as_read(text: str) -> Loaded:
        """The file with this text; what could not be read is never written."""
        return loaded_as(
            text.encode(),
            loaded.path,
            os.environ,
            cwd=paths.working_folder(),
            organisation=loaded.organisation,
        )

    def change(text: str) -> str:
        changed = with_policy(text, loaded.name, part)
        as_read(changed)
        return changed

    # What a person has seen: this file with these lines, whatever is in it by the time of writing.
    shown = as_read(with_policy(loaded.text, loaded.name, part))
    still_open = {item.key for item in needs_trust(loaded, store)}
    touched = {f"servers.{part.server}", "policy"} - still_open
    seen = [item for item in items_of(shown) if item.key in touched]
    rewrite(loaded.path, change)
    if seen:
        trust_these(load(loaded.path, os.environ), store, seen)
