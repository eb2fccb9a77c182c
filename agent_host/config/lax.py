"""What a servers.toml allows, leaves out of the records or sends away, one line each.

Theory of operation: these are the lines of `trust` for what starts nothing and contacts no server
by itself. What only tightens has no line: a rule that asks or denies, more secrets that are looked
for, hiding them from the model. Whatever loosens in some reading has one, and says all of it: of a
rule that allows its condition, of a total that conditions read how it counts. Two rules that mean
different things never have the same line, because the lines are what is compared.
"""

import json
from collections.abc import Iterator

from agent_host.config.policy_tables import PolicyConfig, RuleConfig
from agent_host.config.record_tables import AuditConfig, SecretsConfig, TelemetryConfig
from agent_host.config.schema import Config
from agent_host.config.show import mask, mask_url
from agent_host.config.values import seconds

_FIELDS = PolicyConfig.model_fields
_EXPIRES: str = _FIELDS["expires"].default
_ASKS: int = _FIELDS["max_asks"].default


def policy(config: Config, *, roles: bool) -> Iterator[str]:
    """Yield what runs without a question, and what such rules rest on. `roles`: whether the roles
    that the file gives count."""
    said = config.policy
    if said.default == "allow":
        yield "what no rule names runs without a question"
    if said.flow == "off":
        yield "nobody is asked before private data can go where strangers' text says"
    yield from _rules(said)
    if seconds(said.expires) > seconds(_EXPIRES):
        yield f"a question can be answered for {said.expires}"
    if said.max_asks > _ASKS:
        yield f"up to {said.max_asks} questions for one message"
    for name, total in said.totals.items():
        per = f"for each {', '.join(map(_word, total.per))}" if total.per else "for all together"
        yield (
            f"counts (total {name}): {_word(total.value)} of {_named(total.tools)} of "
            f"{_word(total.server)}, for {total.window}, {per}"
        )
    for role, who in said.roles.items() if roles else ():
        yield f"has the role {role}: {', '.join(map(_word, who)) or 'nobody'}"
    if config.sampling.approve == "always":
        yield "servers that may ask for the model get its answers without a question"


def _rules(said: PolicyConfig) -> Iterator[str]:
    for rule in said.rules:
        if rule.effect == "allow":
            yield f"runs without a question ({rule.id}): {_tools(rule)}{_condition(rule)}"
        elif rule.expires is not None and seconds(rule.expires) > seconds(_EXPIRES):
            yield f"a question can be answered for {rule.expires} ({rule.id}): {_tools(rule)}"


def secrets(said: SecretsConfig) -> Iterator[str]:
    """Yield what it says of secrets that would not hold by itself."""
    if not said.detect:
        yield "secrets in results and arguments are not looked for: they are written down"
    for tool in said.reveal:
        yield f"gets secrets back where the model wrote their placeholders: {tool}"
    if said.hide_from_model:
        yield "the model gets placeholders instead of secrets"
    for name, pattern in said.patterns.items():
        yield f"is taken for a secret ({name}): {pattern}"


def audit(said: AuditConfig) -> Iterator[str]:
    """Yield what it says of the audit log that would not hold by itself."""
    if not said.enabled:
        yield "no audit log is written"
    if said.folder is not None:
        yield f"the audit log is written into the folder: {said.folder}"
    if not said.arguments:
        yield "the audit log holds no arguments, only their hash"
    if said.retention is not None:
        yield f"files of the audit log are deleted after {said.retention}"
    if said.send_to is not None:
        yield f"the audit log is sent to: {mask_url(said.send_to)}"
    yield from _headers(said.send_headers)


def telemetry(said: TelemetryConfig) -> Iterator[str]:
    """Yield where traces and metrics are sent, and what of a conversation is in them."""
    if said.endpoint is None:
        return
    yield f"traces and metrics are sent to: {mask_url(said.endpoint)}"
    if said.content:
        yield "with messages, arguments and results"
    yield from _headers(said.headers)


def _headers(headers: dict[str, str]) -> Iterator[str]:
    yield from (f"header: {name}: {mask(('headers', name), v)}" for name, v in headers.items())


def _tools(rule: RuleConfig) -> str:
    return f"{_named(rule.tools)} of {_word(rule.server)}"


def _named(tools: list[str]) -> str:
    return ", ".join(map(_word, tools))


def _word(text: str) -> str:
    """A word as it is; anything that could be taken for several, or for ours, in quotes."""
    plain = text.isprintable() and not set(text) & set(' ,"')
    return text if plain else json.dumps(text, ensure_ascii=False)


def _condition(rule: RuleConfig) -> str:
    return "" if rule.when is None else f" where {json.dumps(rule.when, ensure_ascii=False)}"
