"""The ways to set up a published server: one plan for each package and each remote.

Theory of operation: a registry type has one builder here, which says the program, its arguments
and what a person has to add; an unknown type, a name outside of its registry's grammar or an
argument that would make the runner start something else is that plan's problem, in one sentence.
Arguments for a runner (npx, uvx, dnx) are taken from a short list that cannot change what is run:
an entry may shape its own program's command line, never the package manager's. Containers have
their own rules (`containers`).
"""

import shlex
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from agent_host.core.text import clean_line
from agent_host.registry import names
from agent_host.registry.containers import container
from agent_host.registry.inputs import Inputs, argument_problem
from agent_host.registry.plan import (
    Argument,
    InstallPlan,
    Kind,
    Need,
    Slot,
    Source,
    Start,
    Template,
    Text,
)
from agent_host.registry.server_json import Input, Listing, Package, Server, Transport

__all__ = ["InstallPlan", "Need", "plans", "preferred"]

Which = Callable[[str], str | None]

_HOMES = {
    "npm": ("https://registry.npmjs.org",),
    "pypi": ("https://pypi.org",),
    "nuget": ("https://api.nuget.org", "https://api.nuget.org/v3/index.json"),
}
"""The places that packages come from; an entry that names another is not followed there."""
_HARMLESS = frozenset({"-y", "--yes", "-q", "--quiet", "--prefer-offline", "--prefer-online"})
"""Arguments of a runner that an entry may ask for; they change nothing here and are left out."""
_STEERING = ("LD_", "DYLD_", "NPM_CONFIG_", "PIP_", "UV_", "NODE_OPTIONS", "PYTHON", "DOCKER_")
"""Starts of variables that change what a runner or a loader runs: an entry fixes none of them."""
_BY_HAND = {"cargo": "cargo install {} --version {}", "go": "go install {}@{}"}


def plans(entry: Server | Listing, *, which: Which = shutil.which) -> tuple[InstallPlan, ...]:
    """Return every way to set the server up, in the entry's order, packages first.

    `which`: finds a program on the PATH. A deprecated listing is a warning of each plan; a deleted
    one is each plan's problem.
    """
    server = entry.server if isinstance(entry, Listing) else entry
    found = [_package(server, package, which) for package in server.packages]
    found += [_remote(server, remote) for remote in server.remotes]
    if isinstance(entry, Listing) and entry.status != "active":
        found = [_flagged(plan, entry) for plan in found]
    return tuple(found)


def preferred(ways: Sequence[InstallPlan]) -> InstallPlan | None:
    """Return the first plan that can be followed here, else the first that could be followed
    with a program that is missing; None if there is none."""
    usable = [way for way in ways if not way.problem]
    return next((way for way in usable if not way.missing), usable[0] if usable else None)


def _flagged(plan: InstallPlan, listing: Listing) -> InstallPlan:
    said = clean_line(listing.status_message, 300)
    why = f": {said}" if said else ""
    if listing.status == "deleted":
        return replace(plan, problem=f"was deleted from the registry{why}; look for another server")
    return replace(plan, warnings=(f"it is {listing.status}{why}", *plan.warnings))


def _package(server: Server, package: Package, which: Which) -> InstallPlan:
    inputs = Inputs(server.name.partition("/")[2])
    env = _environment(package.environment, inputs)
    program = [inputs.argument(given, i) for i, given in enumerate(package.arguments, 1)]
    start = _start(package, program, env, inputs, which)
    missing = "" if start.command is None or which(start.command) else start.command
    plan = InstallPlan(
        kind=_kind(package),
        title=_title(package),
        command=start.command,
        needs=tuple(inputs.needs),
        pinned=start.pinned,
        warnings=(*inputs.warnings, *start.warnings),
        problem=start.problem or argument_problem(start.args),
        missing=missing,
        unprepared=start.unprepared,
        source=start.source,
        template=Template(args=start.args, env=env),
    )
    if package.transport.type != "stdio" and not plan.problem:
        return _served(plan, package.transport, inputs)
    return _finished(plan)


def _finished(plan: InstallPlan) -> InstallPlan:
    """Return the plan as it is shown; what cannot even be shown is a problem."""
    if not plan.problem:
        try:
            return plan.shown()
        except ValueError as error:
            plan = replace(plan, problem=str(error))
    return replace(plan, command=None, template=Template(), needs=(), unprepared="", missing="")


def _kind(package: Package) -> Kind:
    kinds: dict[str, Kind] = {
        "npm": "npm",
        "pypi": "pypi",
        "oci": "oci",
        "docker": "oci",
        "nuget": "nuget",
        "mcpb": "mcpb",
    }
    return kinds.get(package.registry_type, "other")


def _title(package: Package) -> str:
    kind = clean_line(package.registry_type, 40) or "package"
    return clean_line(f"{kind} {package.identifier} {package.version}", 300)


def _environment(given: Iterable[Input], inputs: Inputs) -> dict[str, Text]:
    env: dict[str, Text] = {}
    for item in given:
        if not names.is_variable(item.name):
            inputs.warnings.append(
                f'"{clean_line(item.name, 60)}" is not the name of an environment variable'
            )
        elif item.name.upper().startswith(_STEERING) and (item.value or item.default):
            inputs.warnings.append(f"its value for {item.name} is left out: it changes what is run")
        elif item.name not in env:
            env[item.name] = inputs.named(item, "env")
    return env


def _start(
    package: Package, program: list[Argument], env: dict[str, Text], inputs: Inputs, which: Which
) -> Start:
    problem = package.problem or _foreign(package)
    if problem:
        return Start(problem=problem)
    kind = _kind(package)
    if kind == "npm":
        return _npm(package, program)
    if kind == "pypi":
        return _pypi(package, program, which)
    if kind == "nuget":
        return _nuget(package, program)
    if kind == "oci":
        return container(package, program, env, inputs)
    if kind == "mcpb":
        return _mcpb(package, program)
    return Start(problem=_unknown(package))


def _foreign(package: Package) -> str:
    homes = _HOMES.get(package.registry_type)
    base = package.base_url.rstrip("/")
    if homes is None or not base or base in homes:
        return ""
    shown = clean_line(base, 120)
    return f"is published at {shown}, not at {homes[0]}; set it up by hand if you trust that place"


def _unknown(package: Package) -> str:
    kind = clean_line(package.registry_type, 40) or "nothing"
    known = _BY_HAND.get(package.registry_type)
    if known is None:
        return f'is of the registry type "{kind}", which is not known here; set it up by hand'
    hint = known.format(clean_line(package.identifier, 120), clean_line(package.version, 40))
    return f"is a {kind} package; run `{hint}` yourself and add its program by its command"


def _npm(package: Package, program: list[Argument]) -> Start:
    problem = names.package_problem("npm", package.identifier, package.version)
    problem = problem or _runner_problem(package)
    spec = f"{package.identifier}@{package.version}"
    args = [Argument(text=("-y",)), Argument(text=(spec,)), *program]
    source = Source(kind="npm", identifier=package.identifier, version=package.version)
    return Start(command="npx", args=tuple(args), problem=problem, source=source)


def _nuget(package: Package, program: list[Argument]) -> Start:
    problem = names.package_problem("nuget", package.identifier, package.version)
    problem = problem or _runner_problem(package)
    words = [f"{package.identifier}@{package.version}", "--yes", *(["--"] if program else [])]
    args = [*(Argument(text=(word,)) for word in words), *program]
    source = Source(kind="nuget", identifier=package.identifier, version=package.version)
    return Start(command="dnx", args=tuple(args), problem=problem, source=source)


def _pypi(package: Package, program: list[Argument], which: Which) -> Start:
    name, version = package.identifier, package.version
    problem = names.package_problem("pypi", name, version)
    starts = _python_start(package)
    if problem or isinstance(starts, str):
        return Start(problem=problem or str(starts))
    source = Source(
        kind="pypi", identifier=name, version=version, sha256=package.sha256, start=starts
    )
    if starts[:1] == ("-m",) or which("uvx") is None:
        args = [*(Argument(text=(word,)) for word in starts if starts[:1] == ("-m",)), *program]
        return Start(args=tuple(args), source=source, unprepared="venv")
    words = ["--from", f"{name}=={version}", *(starts or (name,))]
    args = [*(Argument(text=(word,)) for word in words), *program]
    return Start(command="uvx", args=tuple(args), source=source)


def _python_start(package: Package) -> tuple[str, ...] | str:
    """Return how the entry wants the package started (see `Source.start`), or a problem."""
    words: list[str] = []
    for given in package.runtime_arguments:
        words += [given.flag] if given.flag else []
        words += [given.value or given.default] if given.value or given.default else []
    words = [word for word in words if word not in _HARMLESS]
    name = package.identifier
    if words[:1] == ["--from"] and len(words) > 1 and _same_project(words[1], name):
        words = words[2:]
    if words and _same_project(words[0], name):
        words = words[1:]
    if not words:
        return ()
    if len(words) == 1 and names.is_script(words[0]):
        return (words[0],)
    if len(words) == 2 and words[0] == "-m" and names.is_module(words[1]):
        return ("-m", words[1])
    return _refused(words[0])


def _same_project(word: str, name: str) -> bool:
    return word == name or word.startswith((f"{name}==", f"{name}@"))


def _runner_problem(package: Package) -> str:
    """Return why what the entry wants of its runner cannot be said; empty if it can."""
    for given in package.runtime_arguments:
        word = given.flag or given.value or given.default
        if word not in _HARMLESS and not _same_project(word, package.identifier):
            return _refused(word)
    return ""


def _refused(word: str) -> str:
    shown = clean_line(word, 60)
    return f'its runtime argument "{shown}" could run something other than the pinned package'


def _mcpb(package: Package, program: list[Argument]) -> Start:
    url, sha256 = package.identifier, package.sha256.lower()
    problem = names.url_problem(url)
    if problem:
        return Start(problem=f"its bundle's URL {problem}")
    if not names.is_sha256(sha256):
        return Start(problem="its bundle comes without a SHA-256, so it could not be checked")
    source = Source(kind="mcpb", identifier=url, version=package.version, sha256=sha256)
    pinned = f"mcpb:{url} sha256:{sha256}"
    return Start(args=tuple(program), source=source, unprepared="mcpb", pinned=pinned)


def _served(plan: InstallPlan, transport: Transport, inputs: Inputs) -> InstallPlan:
    """Return the plan for a package that serves HTTP by itself: a URL, and what to start first."""
    before = _finished(plan)
    words = [before.command or "its program", *before.args]
    env = "".join(f" {name}" for name in before.env)
    first = clean_line(shlex.join(words), 300) + (f", with{env} set" if env else "")
    remote = _endpoint(transport, inputs)
    if isinstance(remote, str):
        return _finished(replace(plan, problem=remote))
    used = {part.need for part in remote.url if isinstance(part, Slot)}
    used |= {p.need for text in remote.headers.values() for p in text if isinstance(p, Slot)}
    return _finished(
        replace(
            plan,
            command=None,
            missing="",
            unprepared="",
            source=None,
            pinned="",
            sse=transport.type == "sse",
            needs=tuple(need for need in inputs.needs if need.name in used),
            warnings=(*plan.warnings, f"it serves HTTP by itself; start it yourself: {first}"),
            template=remote,
        )
    )


def _remote(server: Server, transport: Transport) -> InstallPlan:
    inputs = Inputs(server.name.partition("/")[2])
    found = _endpoint(transport, inputs)
    title = clean_line(f"remote {transport.url} ({transport.type})", 300)
    if isinstance(found, str):
        return InstallPlan(kind="remote", title=title, problem=found)
    plain = transport.url.startswith("http://")
    plan = InstallPlan(
        kind="remote",
        title=title,
        sse=transport.type == "sse",
        needs=tuple(inputs.needs),
        warnings=(*inputs.warnings, *(("its URL is http: anybody between can read it",) * plain)),
        template=found,
    )
    return _finished(plan)


def _endpoint(transport: Transport, inputs: Inputs) -> Template | str:
    """Return a URL and its headers as templates, or a problem."""
    if transport.type not in ("streamable-http", "sse"):
        kind = clean_line(transport.type, 40)
        return f'has the transport "{kind}", which is not known here'
    url = inputs.template(transport.url, "url", transport.variables)
    if not transport.url or any(c in part for part in url if isinstance(part, str) for c in " \n"):
        return "has no usable URL"
    headers: dict[str, Text] = {}
    for given in transport.headers:
        if not names.is_header(given.name):
            inputs.warnings.append(f'"{clean_line(given.name, 60)}" is not the name of a header')
            continue
        headers[given.name] = inputs.named(given, "header")
    return Template(url=url, headers=headers)
