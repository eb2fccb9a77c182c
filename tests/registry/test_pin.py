"""Hashes, as each kind of registry says them over real HTTP."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_host.registry.install import plans
from agent_host.registry.pin import Homes, pin
from agent_host.registry.plan import InstallPlan
from agent_host.registry.server_json import Server, read_server
from agent_host.registry.web import Fault, Web
from tests.fakes.registry_server import Registry

SRI = "sha512-" + "A" * 86 + "=="
DIGEST = "sha256:" + "ab" * 32


def plan_for(**package: Any) -> InstallPlan:
    one = {"transport": {"type": "stdio"}} | package
    server = read_server({"name": "io.example/x", "version": "1", "packages": [one]})
    assert isinstance(server, Server)
    (plan,) = plans(server, which=lambda name: name)
    assert plan.problem == ""
    return plan


def pinned(registry: Registry, web: Web, npm: str | None = None, **package: Any) -> Any:
    homes = Homes(npm=registry.url, pypi=registry.url, nuget=registry.url)
    plan = plan_for(**package)
    return pin(plan, web, which=lambda _: npm, environ=dict(os.environ), homes=homes)


def says(registry: Registry, path: str, document: Any) -> None:
    registry.files[path] = json.dumps(document).encode()


def test_an_npm_packages_integrity_is_recorded(registry: Registry, web: Web):
    says(registry, "/@a%2Fb/1.0.0", {"dist": {"integrity": SRI}})
    found = pinned(registry, web, registryType="npm", identifier="@a/b", version="1.0.0")
    assert found.pinned == f"npm:@a/b@1.0.0 {SRI}"
    assert found.args == ("-y", "@a/b@1.0.0")


@pytest.mark.parametrize("dist", [{}, {"integrity": 7}, {"integrity": "sha1-x"}, None])
def test_a_package_without_an_integrity_cannot_be_pinned(
    registry: Registry, web: Web, dist: object
):
    says(registry, "/b/1.0.0", {"dist": dist})
    found = pinned(registry, web, registryType="npm", identifier="b", version="1.0.0")
    assert isinstance(found, Fault)
    assert found.text.startswith("npm:b@1.0.0 could not be pinned: ")


def npm_that(folder: Path, code: str) -> str:
    place = folder / "npm"
    place.write_text(f"#!{sys.executable}\nimport json, sys\n{code}\n")
    place.chmod(0o755)
    return str(place)


def test_npm_itself_is_asked_where_it_is_because_it_knows_the_users_registry(
    registry: Registry, web: Web, tmp_path: Path
):
    npm = npm_that(
        tmp_path,
        "assert sys.argv[1:] == ['view', '--json', '@a/b@1.0.0', 'dist'], sys.argv\n"
        f"print(json.dumps({{'integrity': '{SRI}'}}))",
    )
    found = pinned(registry, web, npm, registryType="npm", identifier="@a/b", version="1.0.0")
    assert found.pinned == f"npm:@a/b@1.0.0 {SRI}"
    assert registry.asked == []


def test_what_npm_says_of_its_failure_is_told_clean(registry: Registry, web: Web, tmp_path: Path):
    npm = npm_that(
        tmp_path, "print(json.dumps({'error': {'summary': 'no\\x1b[2J such'}}))\nsys.exit(1)"
    )
    found = pinned(registry, web, npm, registryType="npm", identifier="b", version="1.0.0")
    assert isinstance(found, Fault)
    assert found.text == "npm:b@1.0.0 could not be pinned: no\\u{1b}[2J such"


@pytest.mark.parametrize("code", ["print('noise')", "sys.exit(1)", "print('[]')"])
def test_an_npm_that_does_not_work_is_passed_over(
    registry: Registry, web: Web, tmp_path: Path, code: str
):
    says(registry, "/b/1.0.0", {"dist": {"integrity": SRI}})
    npm = npm_that(tmp_path, code)
    found = pinned(registry, web, npm, registryType="npm", identifier="b", version="1.0.0")
    assert found.pinned == f"npm:b@1.0.0 {SRI}"
    gone = pinned(registry, web, "/none/npm", registryType="npm", identifier="b", version="1.0.0")
    assert gone.pinned == found.pinned


def test_a_python_packages_wheel_is_recorded(registry: Registry, web: Web):
    files = [
        {"filename": "b-1.0.tar.gz", "digests": {"sha256": "0" * 64}},
        {"filename": "b-1.0-py3-none-any.whl", "digests": {"sha256": "1" * 64}},
    ]
    says(registry, "/pypi/b/1.0/json", {"urls": files})
    found = pinned(registry, web, registryType="pypi", identifier="b", version="1.0")
    assert found.pinned == f"pypi:b==1.0 sha256:{'1' * 64}"


def test_a_nuget_packages_hash_is_recorded(registry: Registry, web: Web):
    path = "/v3/registration5-gz-semver2/b.c/1.0.0-beta.json"
    says(registry, path, {"catalogEntry": f"{registry.url}/entry.json"})
    says(registry, "/entry.json", {"packageHash": "A" * 86 + "=="})
    found = pinned(registry, web, registryType="nuget", identifier="B.C", version="1.0.0-beta")
    assert found.pinned == f"nuget:B.C@1.0.0-beta {SRI}"


def test_an_images_tag_becomes_the_digest_that_it_points_to(registry: Registry, web: Web):
    host = registry.url.removeprefix("http://")
    path = "/v2/a/b/manifests/1.0"
    challenge = f'Bearer realm="{registry.url}/token",service="s",scope="repository:a/b:pull"'
    registry.needs[path] = ("anonymous", challenge)
    registry.files[path] = b"{}"
    registry.headers[path] = {"Docker-Content-Digest": DIGEST}
    says(registry, "/token", {"token": "anonymous"})
    found = pinned(registry, web, registryType="oci", identifier=f"{host}/a/b:1.0")
    assert found.args == ("run", "-i", "--rm", f"{host}/a/b@{DIGEST}")
    assert found.pinned == f"oci:{host}/a/b@{DIGEST} (tag 1.0)"
    assert found.warnings == ()
    assert "/token?scope=repository%3Aa%2Fb%3Apull&service=s" in registry.asked


@pytest.mark.parametrize(
    ("challenge", "said"),
    [
        ("Basic realm=x", "wants a login"),
        ('Bearer realm="http://example.com/token"', "wants a login"),
        ('Bearer realm="file:///etc/passwd"', "wants a login"),
        ("", "wants a login"),
    ],
)
def test_an_image_that_wants_a_login_is_told(
    registry: Registry, web: Web, challenge: str, said: str
):
    host = registry.url.removeprefix("http://")
    registry.needs["/v2/a/b/manifests/1.0"] = ("x", challenge)
    found = pinned(registry, web, registryType="oci", identifier=f"{host}/a/b:1.0")
    assert isinstance(found, Fault)
    assert said in found.text


def test_a_digest_that_is_none_is_not_put_into_a_command(registry: Registry, web: Web):
    host = registry.url.removeprefix("http://")
    registry.files["/v2/a/b/manifests/1.0"] = b"{}"
    registry.headers["/v2/a/b/manifests/1.0"] = {"Docker-Content-Digest": "sha256:--privileged"}
    found = pinned(registry, web, registryType="oci", identifier=f"{host}/a/b:1.0")
    assert isinstance(found, Fault)
    assert "no digest" in found.text


def test_what_is_pinned_or_cannot_be_asks_nobody(registry: Registry, web: Web):
    image = f"ghcr.io/a/b@{DIGEST}"
    assert pinned(registry, web, registryType="oci", identifier=image).pinned == f"oci:{image}"
    strange = InstallPlan(kind="other", title="t", problem="no")
    assert pin(strange, web, which=lambda _: None, environ={}) == strange
    remote = InstallPlan(kind="remote", title="t", url="https://x.example")
    assert pin(remote, web, which=lambda _: None, environ={}) == remote
    assert registry.asked == []
