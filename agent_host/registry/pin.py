"""What a pinned version hashes to where it comes from: recorded now, compared later.

Theory of operation: a version of a registry is a promise, a hash is a fact. npm's integrity is what
the configured npm registry says of the tarball (npm itself compares it when it fetches); a PyPI
project's is the SHA-256 of its wheel; an image's is the digest that its tag points to now, which
then replaces the tag in the command; NuGet's is the package's SHA-512. A bundle comes with its
hash, and a remote has none. What cannot be found out is a fault and the plan stays as it was.
"""

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from agent_host.core.text import clean_line
from agent_host.registry import names
from agent_host.registry.plan import Argument, InstallPlan, Source
from agent_host.registry.web import Fault, Web

_ACCEPT = (
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)
_LIMIT = 8 * 1024 * 1024
_SECONDS = 60.0
_SRI = re.compile(r"(sha(?:256|384|512))-([A-Za-z0-9+/]{43,88}={0,2})\Z")
_CHALLENGE = re.compile(r'([a-z]+)="([^"]*)"')

Which = Callable[[str], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Homes:
    """Where packages are published: the roots of what speaks each registry's API."""

    npm: str = "https://registry.npmjs.org"
    pypi: str = "https://pypi.org"
    nuget: str = "https://api.nuget.org"


def pin(
    plan: InstallPlan,
    web: Web,
    *,
    which: Which,
    environ: Mapping[str, str],
    homes: Homes = Homes(),
) -> InstallPlan | Fault:
    """Return the plan with `pinned` set to version and hash.

    `which` finds programs (npm is asked if it is there, because it knows the user's registry and
    login); `environ` is what they run with. A plan that has nothing to pin, or is pinned, comes
    back as it is.
    """
    source = plan.source
    if plan.problem or plan.pinned or source is None:
        return plan
    if source.kind == "npm":
        found = _npm(source, web, which("npm"), environ, homes.npm)
        return _pinned(plan, f"npm:{source.identifier}@{source.version}", found)
    if source.kind == "pypi":
        if plan.unprepared:  # preparing it hashes the very file
            return plan
        return _pinned(
            plan, f"pypi:{source.identifier}=={source.version}", _pypi(source, web, homes.pypi)
        )
    if source.kind == "nuget":
        return _pinned(
            plan, f"nuget:{source.identifier}@{source.version}", _nuget(source, web, homes.nuget)
        )
    return _image(plan, source, web) if source.kind == "oci" else plan


def _pinned(plan: InstallPlan, what: str, found: str | Fault) -> InstallPlan | Fault:
    if isinstance(found, Fault):
        return Fault(f"{what} could not be pinned: {found.text}", found.status)
    return replace(plan, pinned=f"{what} {found}")


def _npm(
    source: Source, web: Web, npm: str | None, environ: Mapping[str, str], home: str
) -> str | Fault:
    found = _viewed(npm, source, environ) if npm else None
    if found is None:
        url = f"{home}/{quote(source.identifier, safe='@')}/{quote(source.version, safe='')}"
        body = web.get(url, limit=_LIMIT)
        found = body if isinstance(body, Fault) else body.json()
        found = found.get("dist", {}) if isinstance(found, dict) else found
    if isinstance(found, Fault):
        return found
    integrity = found.get("integrity") if isinstance(found, dict) else None
    if not isinstance(integrity, str) or not _SRI.match(integrity):
        return Fault("its registry says no integrity for it")
    return integrity


def _viewed(npm: str, source: Source, environ: Mapping[str, str]) -> object:
    """Return what `npm view` says of a version's `dist`; None where npm cannot be used."""
    spec = f"{source.identifier}@{source.version}"
    try:
        done = subprocess.run(  # noqa: S603 - a checked name as one argument, no shell
            [npm, "view", "--json", spec, "dist"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    try:
        found = json.loads(done.stdout)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return Fault("npm knows no such version") if done.stdout.strip() == "" else None
    error = found.get("error")
    if isinstance(error, dict):
        return Fault(clean_line(str(error.get("summary") or "npm cannot find it"), 200))
    return found


def _pypi(source: Source, web: Web, home: str) -> str | Fault:
    """Return the SHA-256 of the one wheel for every machine; else of the first file."""
    url = f"{home}/pypi/{quote(source.identifier)}/{quote(source.version)}/json"
    body = web.get(url, limit=_LIMIT)
    found = body if isinstance(body, Fault) else body.json()
    if isinstance(found, Fault):
        return found
    files = found.get("urls") if isinstance(found, dict) else None
    usable = [f for f in files if isinstance(f, dict)] if isinstance(files, list) else []
    usable.sort(key=lambda f: not str(f.get("filename")).endswith("-none-any.whl"))
    for file in usable:
        digests = file.get("digests")
        sha256 = digests.get("sha256") if isinstance(digests, dict) else None
        if isinstance(sha256, str) and names.is_sha256(sha256):
            return f"sha256:{sha256}"
    return Fault("its index says no hash for it")


def _nuget(source: Source, web: Web, home: str) -> str | Fault:
    name, version = source.identifier.lower(), source.version.lower().partition("+")[0]
    url = f"{home}/v3/registration5-gz-semver2/{quote(name)}/{quote(version)}.json"
    body = web.get(url, limit=_LIMIT)
    found = body if isinstance(body, Fault) else body.json()
    entry = found.get("catalogEntry") if isinstance(found, dict) else found
    if isinstance(entry, str):
        body = web.get(entry, limit=_LIMIT)
        entry = body if isinstance(body, Fault) else body.json()
    if isinstance(entry, Fault):
        return entry
    hashed = entry.get("packageHash") if isinstance(entry, dict) else None
    sri = f"sha512-{hashed}"
    return sri if _SRI.match(sri) else Fault("its registry says no hash for it")


def _image(plan: InstallPlan, source: Source, web: Web) -> InstallPlan | Fault:
    """Return the plan with the image's digest in its command instead of a tag that may move."""
    tag = source.version or "latest"
    found = names.image(f"{source.identifier}:{tag}")
    if found is None:
        return plan
    host, path = found[0] or "docker.io", found[1]
    path = path if host != "docker.io" or "/" in path else f"library/{path}"
    digest = _digest(f"{_endpoint(host)}/v2/{path}/manifests/{quote(tag)}", path, web)
    if isinstance(digest, Fault):
        return Fault(f"{source.identifier}:{tag} could not be pinned: {digest.text}", digest.status)
    name = f"{source.identifier}@{digest}"
    old = {source.identifier, f"{source.identifier}:{source.version}"}
    args = tuple(
        Argument(text=(name,)) if len(a.text) == 1 and not a.flag and a.text[0] in old else a
        for a in plan.template.args
    )
    warnings = tuple(w for w in plan.warnings if "pin it by its digest" not in w)
    pinned = f"oci:{name} (tag {tag})"
    template = replace(plan.template, args=args)
    return replace(plan, template=template, pinned=pinned, warnings=warnings).shown()


def _endpoint(host: str) -> str:
    if host == "docker.io":
        return "https://registry-1.docker.io"
    return f"http://{host}" if names.is_loopback(host.partition(":")[0]) else f"https://{host}"


def _digest(url: str, path: str, web: Web) -> str | Fault:
    """Ask an image registry (OCI distribution spec) what a tag points to now."""
    body = web.get(url, limit=_LIMIT, headers={"Accept": _ACCEPT})
    if isinstance(body, Fault) and body.status == 401:
        token = _token(body.challenge, path, web)
        if isinstance(token, Fault):
            return token
        headers = {"Accept": _ACCEPT, "Authorization": f"Bearer {token}"}
        body = web.get(url, limit=_LIMIT, headers=headers)
    if isinstance(body, Fault):
        return body
    digest = body.headers.get("docker-content-digest", "")
    kind, _, value = digest.partition(":")
    if kind != "sha256" or not names.is_sha256(value):
        return Fault("its registry says no digest for it")
    return digest


def _token(challenge: str, path: str, web: Web) -> str | Fault:
    """Get the anonymous token that a registry's 401 points to (Bearer realm, service, scope)."""
    said = dict(_CHALLENGE.findall(challenge[:2000]))
    realm = said.get("realm", "")
    if not challenge.lower().startswith("bearer ") or names.url_problem(realm) or "?" in realm:
        return Fault("its registry wants a login")
    query = {"scope": f"repository:{path}:pull"}
    if said.get("service"):
        query["service"] = said["service"]
    body = web.get(f"{realm}?{urlencode(query)}", limit=_LIMIT)
    found = body if isinstance(body, Fault) else body.json()
    if isinstance(found, Fault):
        return found
    token = (found.get("token") or found.get("access_token")) if isinstance(found, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        return Fault("its registry gives no token without a login")
    return token
