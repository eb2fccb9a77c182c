"""The policy that a config describes: the rules of all its layers, compiled.

Theory of operation: every rule of every layer counts (see `config.layers`, `policy.rules`). What
evaluates conditions is imported only if there is one. Whatever is wrong with a condition is an
error of the config, with its place: a rule is never left out. A rule reads the running totals of
its own file and of those above it, so that no file says what a stricter one's rules mean.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from types import ModuleType
from typing import Any

from agent_host.config import paths
from agent_host.config.layers import Layer, default_of, expires_of, flow_of, totals_of
from agent_host.config.load import Loaded
from agent_host.config.policy_tables import RuleConfig, TotalConfig
from agent_host.config.values import seconds
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean_line
from agent_host.core.types import ApprovalTerms
from agent_host.host.sources import Sources
from agent_host.policy.facts import Moment
from agent_host.policy.plans import Rule, matcher
from agent_host.policy.rules import RulePolicy
from agent_host.policy.totals import Total
from agent_host.state.totals import Totals


def make_policy(
    loaded: Loaded,
    environ: Mapping[str, str],
    *,
    interactive: bool = False,
    clock: Callable[[], float] = time.time,
    moment: Callable[[], Moment] | None = None,
    kept: Totals | None = None,
    sources: Sources | None = None,
) -> RulePolicy:
    """Return the policy that a config and the files above it describe. `interactive`: a person
    sits there (`run.interactive`); `clock`: wall time, in seconds since 1970; `moment`: instead
    of both. `kept`: running totals that are in no state.db; `sources`: where servers come from, by
    default as this config says. Raises ConfigError."""
    layers = loaded.layers
    compiling = _Compiling(layers)
    totals = compiling.totals()
    default, default_where = default_of(layers)
    now = moment or (lambda: Moment(now=clock(), interactive=interactive))
    source = sources or Sources(loaded, environ)
    return RulePolicy(
        [rule for layer in layers for rule in compiling.rules(layer)],
        default,
        default_where=default_where,
        flow=flow_of(layers)[0],
        terms=ApprovalTerms(seconds=expires_of(layers)),
        language=compiling.language,
        totals=totals,
        kept=kept or (Totals(paths.state_file(environ)) if totals else None),
        moment=lambda: replace(now(), source=source),
    )


class _Compiling:
    """Compiles what the layers say."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = layers
        self._totals = totals_of(layers)
        self.language: Any = None
        if self._totals or any(rule.when for layer in layers for rule in layer.policy.rules):
            self.language = _expressions()

    def rules(self, layer: Layer) -> Iterable[Rule]:
        """Yield the rules of a layer."""
        for place, rule in enumerate(layer.policy.rules):
            yield Rule(
                id=rule.id,
                effect=rule.effect,
                server=rule.server,
                tools=tuple(rule.tools),
                when=self._condition(layer, place, rule),
                reason=rule.reason,
                terms=self._terms(layer, rule),
                where=layer.where("policy", "rules", place),
                level=layer.level,
            )

    def totals(self) -> list[Total]:
        """Return the running totals of all layers."""
        return [
            Total(
                name=name,
                id=f"{layer.level}:{name}",
                matches=matcher(total.server, total.tools),
                value=self._part(layer, name, "value", total.value),
                per=tuple(
                    self._part(layer, name, ("per", place), text)
                    for place, text in enumerate(total.per)
                ),
                window=seconds(total.window),
                where=layer.where("policy", "totals", name),
                description=_described(total),
            )
            for name, (total, layer) in self._totals.items()
        ]

    def _condition(self, layer: Layer, place: int, rule: RuleConfig) -> Any:
        if rule.when is None:
            return None
        where = layer.where("policy", "rules", place, "when")
        subject = f"the condition of policy rule {clean_line(rule.id, 60)!r}"
        compiled = _compiled(self.language.condition, rule.when, where, subject)
        for name in sorted(compiled.reads.totals):
            self._check_total(layer, name, f"{where}: {subject}")
        return compiled

    def _part(self, layer: Layer, name: str, key: Any, text: str) -> Any:
        """A part of a total: its value, or one of what it is kept per."""
        path = key if isinstance(key, tuple) else (key,)
        where = layer.where("policy", "totals", name, *path)
        subject = f"`{path[0]}` of the total {clean_line(name, 60)!r}"
        compile_it = self.language.quantity if key == "value" else self.language.plain
        compiled = _compiled(compile_it, text, where, subject)
        if compiled.reads.totals:
            raise ConfigError(f"{where}: {subject} reads a total; only conditions can")
        return compiled

    def _check_total(self, layer: Layer, name: str, begin: str) -> None:
        order = [one.level for one in self._layers]
        found = self._totals.get(name)
        if found is None:
            near = get_close_matches(name, self._totals, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else f"; write [policy.totals.{name}]"
            raise ConfigError(
                f'{begin} reads the total "{clean_line(name, 60)}", which there is not{hint}'
            )
        if order.index(found[1].level) > order.index(layer.level):
            raise ConfigError(
                f'{begin} reads the total "{name}" of {found[1].name}, which is a file of less '
                f"weight; define the total in {layer.name}"
            )

    def _terms(self, layer: Layer, rule: RuleConfig) -> ApprovalTerms:
        said = [
            seconds(one.policy.expires)
            for one in self._layers
            if "expires" in one.policy.model_fields_set
            and (rule.expires is None or one.level != layer.level)
        ]
        if rule.expires is not None:
            said.append(seconds(rule.expires))
        return ApprovalTerms(
            approvers=tuple(rule.approvers),
            needed=rule.approvals,
            self_approval=rule.self_approval,
            seconds=min(said, default=expires_of(self._layers)),
        )


def _described(total: TotalConfig) -> tuple[object, ...]:
    return (total.server, *sorted(total.tools), total.value, total.window, *total.per)


def _compiled(compile_it: Callable[[str], Any], text: str, where: str, subject: str) -> Any:
    try:
        return compile_it(text)
    except _expressions().ExpressionError as error:
        raise ConfigError(f"{where}: {subject}{error.at()}: {error.problem}") from None


def _expressions() -> ModuleType:
    """What conditions are compiled and evaluated with; it is large, and many configs need none."""
    from agent_host.policy import expressions

    return expressions
