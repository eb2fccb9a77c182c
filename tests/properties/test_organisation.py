"""Whatever the user's and a project's files say, what an organisation's asks or denies holds."""

import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.config.layers import expires_of, flow_of, max_asks_of, roles_of
from agent_host.config.load import Loaded, load
from agent_host.config.values import seconds
from agent_host.core.conversation import Conversation
from agent_host.core.errors import ConfigError
from agent_host.core.types import Annotations, LabelSeen, Principal, Tool, ToolCall
from agent_host.host.policy import make_policy
from agent_host.policy.facts import Moment

STRICT = {"allow": 0, "ask": 1, "deny": 2}
FLOWS = {"off": 0, "ask": 1, "deny": 2}
CONDITIONS = (
    "args.amount > 100",
    "args.amount <= 100",
    "has(args.amount)",
    'args.to.endsWith("@example.com")',
    '!("boss" in user.roles)',
    'user.id == "ana"',
    "tool.read_only",
    '"private" in run.labels',
    '"egress" in tool.labels',
    "run.cost > 1.0",
    "!run.interactive",
)
GLOBS = ("*", "send_*", "send_mail", "s", "x*", "[a-s]*")
AMOUNTS = (5, 250, 250.7, -1, "250", None, [], math.nan, math.inf, 2**70)


def rules(prefix: str, effects: list[str]):
    one = st.fixed_dictionaries(
        {
            "server": st.sampled_from(GLOBS),
            "tools": st.lists(st.sampled_from(GLOBS), min_size=1, max_size=2),
            "effect": st.sampled_from(effects),
        },
        optional={"when": st.sampled_from(CONDITIONS)},
    )
    return st.lists(one, max_size=4).map(
        lambda found: [{"id": f"{prefix}-{n}", **rule} for n, rule in enumerate(found)]
    )


def policies(prefix: str, effects: list[str]):
    return st.fixed_dictionaries(
        {"rules": rules(prefix, effects)},
        optional={
            "default": st.sampled_from(effects),
            "flow": st.sampled_from(["ask", "deny"] + (["off"] if "allow" in effects else [])),
            "expires": st.sampled_from(["5m", "24h", "90d"]),
            "max_asks": st.integers(1, 200),
            "roles": st.just({"boss": ["ana", "eve"]}),
        },
    )


ANY = ["allow", "ask", "deny"]
ABOVE = policies("org", ["ask", "deny"])
OWN = policies("own", ANY).map(lambda policy: {"policy": policy})
PROJECT = st.fixed_dictionaries(
    {"policy": policies("project", ANY)},
    optional={
        "audit": st.sampled_from([{"enabled": False}, {"folder": "x", "arguments": False}]),
        "secrets": st.sampled_from([{"detect": False}, {"reveal": ["*"]}]),
    },
)
CALLS = st.fixed_dictionaries(
    {}, optional={"amount": st.sampled_from(AMOUNTS), "to": st.sampled_from(["a@example.com", 7])}
)
TOOLS = st.builds(
    Tool,
    name=st.just("s__t"),
    server=st.sampled_from(["s", "x"]),
    tool=st.sampled_from(["send_mail", "send_file", "read"]),
    description=st.just(""),
    input_schema=st.just({"type": "object"}),
    trusted=st.booleans(),
    annotations=st.builds(Annotations, read_only=st.sampled_from([None, True])),
    labels=st.sampled_from([(), ("egress",)]),
)
LABELS = (LabelSeen(label="private", server="a", tool="b"),)
UNTRUSTED = LabelSeen(label="untrusted", server="a", tool="c")


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("organisation")
    for name in ("etc", "project", "config/agent-host"):
        (found / name).mkdir(parents=True)
        (found / name).chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(found / "config"))
        patch.setenv("XDG_DATA_HOME", str(found / "data"))
        yield found


def files(folder: Path, above, own, project) -> Loaded:
    """The three files, as they are written and read; None: there is no such file."""
    for name, table in (
        ("etc/policy.toml", above),
        ("config/agent-host/policy.toml", own),
        ("project/servers.toml", project),
    ):
        path = folder / name
        path.unlink(missing_ok=True)
        if table is not None:
            path.write_text(tomlkit.dumps(table))
            path.chmod(0o644)
    return load(
        None,
        {},
        cwd=folder / "project",
        organisation=folder / "etc/policy.toml",
        root=os.getuid(),
    )


def answer(loaded: Loaded, tool, arguments, labels):
    conversation = replace(Conversation(), labels=labels)
    policy = make_policy(loaded, {}, moment=lambda: Moment(now=0.0, interactive=False))
    call = ToolCall(id="c", name=tool.name, arguments=arguments)
    user = Principal(id="eve")
    return policy.decide(call, arguments, tool, conversation, user)


@settings(max_examples=80)
@given(
    above=ABOVE,
    own=st.none() | OWN,
    project=PROJECT,
    tool=TOOLS,
    arguments=CALLS,
    labels=st.sampled_from([(), LABELS, (*LABELS, UNTRUSTED)]),
)
def test_no_file_loosens_what_the_organisations_rules_say(
    folder, above, own, project, tool, arguments, labels
):
    table = {"policy": above, "audit": {"folder": "/var/log/x"}, "secrets": {"detect": True}}
    alone = answer(files(folder, table, None, {}), tool, arguments, labels)
    together = files(folder, table, own, project)
    found = answer(together, tool, arguments, labels)
    if alone.rule.startswith(("org-", "flow")):
        assert STRICT[found.decision] >= STRICT[alone.decision]
    elif found.rule == "default" and "default" in above:
        assert STRICT[found.decision] >= STRICT[above["default"]]
    config = together.config
    assert (config.audit.enabled, config.audit.folder, config.audit.arguments) == (
        True,
        "/var/log/x",
        True,
    )
    assert config.secrets.detect
    assert config.secrets.reveal == []
    if "flow" in above:
        assert FLOWS[flow_of(together.layers)[0]] >= FLOWS[above["flow"]]
    if "expires" in above:
        assert expires_of(together.layers) <= seconds(above["expires"])
    if "max_asks" in above:
        assert max_asks_of(together.layers) <= above["max_asks"]
    given_roles = {role for role, _ in roles_of(together.layers)}
    assert given_roles == set(above.get("roles", {}))


@settings(max_examples=60)
@given(own=OWN, project=PROJECT, tool=TOOLS, arguments=CALLS)
def test_no_project_loosens_what_the_users_own_rules_say(folder, own, project, tool, arguments):
    alone = answer(files(folder, None, own, {}), tool, arguments, ())
    found = answer(files(folder, None, own, project), tool, arguments, ())
    if alone.rule.startswith("own-") and alone.decision != "allow":
        assert STRICT[found.decision] >= STRICT[alone.decision]


@settings(max_examples=40)
@given(text=st.text(max_size=200), cut=st.integers(0, 10_000))
def test_an_organisations_file_is_believed_whole_or_not_at_all(folder, text, cut):
    """Whatever is written into it, or however much of it, is an error or only tightens."""
    sound = tomlkit.dumps({"policy": {"default": "deny", "rules": [{"id": "a", "effect": "deny"}]}})
    path = folder / "etc/policy.toml"
    files(folder, {"policy": {"default": "ask"}}, None, {})
    for said in (text, sound[: cut % len(sound)], sound + text):
        path.write_text(said, encoding="utf-8", errors="surrogatepass")
        try:
            found = load(None, {}, cwd=folder / "project", organisation=path, root=os.getuid())
        except ConfigError:
            continue
        layer = found.layers[0]
        assert layer.level == "organisation"
        assert layer.policy.default != "allow"
        assert all(rule.effect != "allow" for rule in layer.policy.rules)
