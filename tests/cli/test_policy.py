import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent_host.core.errors import ExitStatus
from tests.cli.policies import POLICY, REFUND, SERVERS, tool, write

ROOT = Path(__file__).parents[2]
HEAVY = ("mcp", "mcp_types", "openai", "anthropic", "prompt_toolkit", "asyncio", "rich")
CASES = '[[cases]]\nname = "a"\nserver = "crm"\ntool = "refund"\nexpect = "ask"\n'


@pytest.mark.parametrize(
    "arguments",
    [
        ("check",),
        ("explain", "crm", "refund", "amount=3", "order=x"),
        ("test", "cases.toml"),
        ("simulate",),
        ("show",),
    ],
)
def test_no_action_imports_an_sdk_or_an_event_loop(project, environment, arguments):
    write(project)
    (project / "cases.toml").write_text(CASES)
    code = (
        "import sys\nfrom agent_host.cli.main import main\n"
        f"main(['policy', *{arguments!r}])\n"
        f"sys.stderr.write(repr([m for m in {HEAVY} if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr.endswith("[]"), done.stderr
    assert done.stdout


def test_check_finds_nothing_in_sound_rules(here, project):
    write(project)
    done = here("policy", "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "3 rules and 1 total: nothing is wrong\n"


def test_check_names_file_line_rule_and_column(cli, project):
    rules = POLICY.replace('"args.amount > 100"', '"args.amuont > 100"')
    write(project, rules.replace('tools = ["refund"]\nwhen = "args.amount > 1000"', 'tools=["x"]'))
    done = cli("policy", "check")
    assert done.returncode == ExitStatus.FAILED
    lines = done.stdout.splitlines()
    assert lines[0].startswith(
        'servers.toml:24: error: rule "big": when, column 1: `args.amuont` is no argument of '
        'crm/refund; did you mean "amount"?'
    )
    assert lines[1].startswith('servers.toml:32: error: rule "huge": tools "x" matches none of')
    assert lines[-1] == "3 rules and 1 total: 2 errors"


def test_a_warning_is_an_error_only_for_strict(here, project):
    write(project, POLICY + '[[policy.rules]]\nid = "also"\nserver = "crm"\neffect = "allow"\n')
    assert here("policy", "check").returncode == 0
    extra = '[[policy.rules]]\nid = "all"\nserver = "crm"\neffect = "ask"\n'
    write(project, POLICY + extra)
    done = here("policy", "check")
    assert (done.returncode, done.stdout.count("warning")) == (0, 2)
    assert 'rule "small": it never decides anything: rule "all" (servers.toml:' in done.stdout
    assert here("policy", "check", "--strict").returncode == ExitStatus.FAILED


def test_check_prints_json_with_places(here, project):
    write(project, POLICY.replace('"args.amount > 100"', '"""args.order == "x" ||\n args.z > 1"""'))
    document = json.loads(here("policy", "check", "--json").stdout)
    assert (document["errors"], document["warnings"]) == (1, 0)
    (finding,) = document["findings"]
    assert finding["where"] == "servers.toml:24"
    assert (finding["line"], finding["column"], finding["subject"]) == (2, 2, 'rule "big"')


def test_check_can_be_of_one_server(here, project):
    bad = '[[policy.rules]]\nid = "bad"\nserver = "other"\neffect = "deny"\n'
    write(project, POLICY + bad)
    assert here("policy", "check").returncode == ExitStatus.FAILED
    assert here("policy", "check", "--server", "crm").returncode == 0
    done = here("policy", "check", "--server", "cmr")
    assert done.returncode == ExitStatus.USAGE
    assert 'there is no server "cmr"; did you mean "crm"?' in done.stderr


def test_a_server_that_was_never_seen_is_said_to_be_unchecked(here, project):
    write(project, tools=None)
    done = here("policy", "check")
    assert done.returncode == 0
    assert "warning: " in done.stdout
    assert "the tools of crm are not in servers.lock" in done.stdout


def test_live_asks_the_servers_only_of_a_trusted_config(here, project):
    demo = '[servers.orders]\ncommand = "agent-host"\nargs = ["demo-server"]\n'
    rules = (
        '[[policy.rules]]\nid = "a"\nserver = "orders"\ntools = ["refund_ordr"]\neffect="deny"\n'
    )
    write(project, rules, 'model = "offline"\n' + demo, tools=None)
    assert "are not in servers.lock" in here("policy", "check").stdout
    done = here("policy", "check", "--live")
    assert done.returncode == ExitStatus.FAILED
    assert 'did you mean "refund_order"?' in done.stdout
    write(project)
    done = here("policy", "check", "--live")
    assert done.returncode == ExitStatus.REFUSED
    assert "not trusted" in done.stderr


def test_nothing_of_a_hostile_config_reaches_the_terminal_raw(cli, project):
    escape = "\\u001b]0;pwned\\u0007\\u202e"
    schema = {"type": "object", "properties": {"k": {"enum": ["\x1b[2J", "b"]}}}
    policy = (
        '[[policy.rules]]\nid = "r"\nserver = "crm"\ntools = ["get_*"]\neffect = "deny"\n'
        f'reason = "{escape}"\nwhen = "args.k == \\"{escape}\\" || args[\\"{escape}\\"] == 1.0"\n'
    )
    write(project, policy, tools=[tool("get_x", schema)])
    (project / "cases.toml").write_text(
        f'[[cases]]\nname = "{escape}"\nserver = "crm"\ntool = "get_x"\nexpect = "allow"\n'
        f'args = {{ k = "{escape}" }}\n'
    )
    for arguments in (
        ("check",),
        ("explain", "crm", "get_x", "k=\x1b[31m", "--label", "\x1b[2J", "--user", "\x1b[5m"),
        ("explain", "crm", "\x1b[2J\u202e"),
        ("test", "cases.toml", "--junit", "out.xml"),
        ("show",),
    ):
        done = cli("policy", *arguments)
        assert "Traceback" not in done.stderr
        for raw in ("\x1b", "\x07", "\u202e"):
            assert raw not in done.stdout + done.stderr, arguments
    assert "\x1b" not in (project / "out.xml").read_text()


def test_show_lists_the_rules_by_file_with_their_place(here, project):
    write(project)
    done = here("policy", "show")
    assert done.returncode == 0
    assert done.stdout.startswith("servers.toml (the servers.toml in use)\n")
    assert "  ask   big  crm/refund  servers.toml:20\n" in done.stdout
    assert "not of the user for whom the run acts; within 1 day" in done.stdout
    assert "  boss: ann, cho\n" in done.stdout
    assert "  refunds: args.amount of crm/refund in 24h per user.id" in done.stdout
    assert "  crm/get_*: private\n" in done.stdout
    document = json.loads(here("policy", "show", "--json").stdout)
    assert [rule["id"] for rule in document["rules"]][:3] == ["small", "big", "huge"]
    assert len(document["fingerprint"]) == 64


def test_show_says_which_first_policy_would_fit(here, project):
    servers = SERVERS + '[servers.gh]\nurl = "https://api.githubcopilot.com/mcp/"\n'
    write(project, servers=servers)
    assert "gh: GitHub (by its published name); " in here("policy", "show").stdout
    printed = here("policy", "show", "--starter", "gh").stdout
    assert "[[policy.rules]]" in printed
    done = here("policy", "show", "--starter", "gj")
    assert done.returncode == ExitStatus.USAGE


def test_the_user_file_is_a_layer_of_its_own(here, project, environment):
    write(project)
    own = Path(environment["HOME"]) / ".config" / "agent-host"
    own.mkdir(parents=True)
    (own / "policy.toml").write_text(
        '[policy]\ndefault = "deny"\n[[policy.rules]]\nid = "mine"\nserver = "crm"\n'
        'tools = ["send"]\neffect = "deny"\n'
    )
    shown = here("policy", "show").stdout
    assert "policy.toml (your own file)\n  deny  mine  crm/send" in shown
    assert "default   deny  " in shown
    told = here("policy", "explain", "crm", "send").stdout
    assert "-> mine (deny, user): matched" in told


def test_args_beyond_the_schema_are_said_to_be_kept_from_policy(here, project):
    write(project, tools=[tool("refund", REFUND)])
    done = here("policy", "explain", "crm", "refund", "--args", '{"amount": "250"}')
    assert done.returncode == 0
    assert "no such call comes to policy: The arguments do not match" in done.stderr
