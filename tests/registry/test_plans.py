"""Real entries of each registry type, and what they become."""

import shlex
from typing import Any

import pytest

from agent_host.registry.install import plans, preferred
from agent_host.registry.plan import InstallPlan
from agent_host.registry.server_json import Listing, Malformed, read_listing
from tests.fakes.registry_server import META, invalid_entries, published_entries, real_entries


def everything(name: str) -> str:
    return f"/usr/bin/{name}"


def nothing(name: str) -> None:
    return None


def ways(raw: dict[str, Any], *, which: Any = everything, **meta: Any) -> tuple[InstallPlan, ...]:
    listing = read_listing({"server": raw, "_meta": {META: meta}})
    assert not isinstance(listing, Malformed)
    return plans(listing, which=which)


def real(name: str, *, which: Any = everything) -> tuple[InstallPlan, ...]:
    found = [raw for raw in real_entries() if raw["name"] == name]
    return ways(found[-1], which=which)


def package(which: Any = everything, **raw: Any) -> InstallPlan:
    one = {"transport": {"type": "stdio"}} | raw
    (plan,) = ways({"name": "io.example/thing", "version": "1", "packages": [one]}, which=which)
    return plan


def remote(**raw: Any) -> InstallPlan:
    one = {"type": "streamable-http"} | raw
    (plan,) = ways({"name": "io.example/thing", "version": "1", "remotes": [one]})
    return plan


def line(plan: InstallPlan) -> str:
    return shlex.join([plan.command or "?", *plan.args])


def test_an_npm_package_is_run_by_npx_with_its_exact_version():
    npm, oci, bundle = real("io.github.domdomegg/airtable-mcp-server")
    assert line(npm) == "npx -y airtable-mcp-server@1.7.3"
    assert npm.env == {"AIRTABLE_API_KEY": "${env:AIRTABLE_API_KEY}"}
    (need,) = npm.needs
    assert (need.name, need.secret, need.required, need.where) == (
        "AIRTABLE_API_KEY",
        True,
        True,
        "env",
    )
    assert need.description.startswith("Airtable personal access token")
    assert (oci.kind, bundle.kind, bundle.unprepared) == ("oci", "mcpb", "mcpb")


def test_an_image_is_run_by_docker_and_gets_its_secrets_by_name_alone():
    _, oci, _ = real("io.github.domdomegg/airtable-mcp-server")
    image = "docker.io/domdomegg/airtable-mcp-server:1.7.3"
    assert line(oci) == f"docker run -i --rm -e AIRTABLE_API_KEY {image}"
    assert oci.env == {"AIRTABLE_API_KEY": "${env:AIRTABLE_API_KEY}"}
    assert any("can be moved" in warning for warning in oci.warnings)


def test_githubs_own_entry_becomes_one_clean_docker_command():
    (plan,) = real("io.github.github/github-mcp-server")
    image = "ghcr.io/github/github-mcp-server:0.20.1"
    assert line(plan) == f"docker run -i --rm -e GITHUB_PERSONAL_ACCESS_TOKEN {image}"
    assert plan.env == {"GITHUB_PERSONAL_ACCESS_TOKEN": "${env:GITHUB_PERSONAL_ACCESS_TOKEN}"}


def test_a_bundle_is_pinned_by_the_hash_that_its_entry_says():
    *_, bundle = real("io.github.domdomegg/airtable-mcp-server")
    assert bundle.pinned.endswith(
        " sha256:0f28a9129cfebd262dfb77854c872355d21401bb3e056575b3027081f5d570ca"
    )
    assert bundle.source is not None
    assert bundle.command is None


def test_a_nuget_package_is_run_by_dnx_with_its_arguments_after_two_dashes():
    (plan,) = real("io.github.joelverhagen/knapcode-samplemcpserver")
    assert line(plan) == "dnx Knapcode.SampleMcpServer@0.4.0-beta --yes -- mcp start"
    (bare,) = real("io.github.domdomegg/time-mcp-nuget", which=nothing)
    assert line(bare) == "dnx TimeMcpServer@1.0.8 --yes"
    assert bare.missing == "dnx"


def test_a_python_package_is_run_by_uvx_where_there_is_one_else_it_gets_an_environment():
    (plan,) = real("io.github.domdomegg/time-mcp-pypi")
    assert line(plan) == "uvx --from time-mcp-pypi==1.0.6 time-mcp-pypi"
    (plan,) = real("io.github.domdomegg/time-mcp-pypi", which=nothing)
    assert (plan.command, plan.unprepared, plan.missing) == (None, "venv", "")


def test_a_remote_is_its_url_with_its_headers_and_variables():
    (plan,) = real("io.github.user/remote-weather")
    assert plan.url == "https://api.example.com/mcp"
    assert plan.headers == {"Authorization": "${env:REMOTE_WEATHER_AUTHORIZATION}"}
    assert [(n.name, n.where, n.default) for n in plan.needs] == [
        ("host", "url", "api.example.com"),
        ("Authorization", "header", ""),
    ]
    filled = plan.filled({"host": "eu.example.com"})
    assert filled.url == "https://eu.example.com/mcp"
    assert not plan.sse


def test_a_remote_of_the_old_transport_says_so():
    npm, http, sse = real("io.modelcontextprotocol.anonymous/hybrid-mcp")
    assert line(npm) == "npx -y @example/hybrid-mcp-server@1.5.0 --mode local"
    assert (http.sse, sse.sse) == (False, True)
    assert http.headers["X-Region"] == "us-east-1"


def test_mounts_variables_choices_and_defaults_of_a_container_are_inputs():
    _, oci = real("io.github.modelcontextprotocol/filesystem")
    filled = oci.filled({"source_path": "/srv/a\n/srv/b"})
    assert filled.args == (
        "run",
        "-i",
        "--rm",
        "--mount=type=bind,src=/srv/a,dst=/project",
        "--mount=type=bind,src=/srv/b,dst=/project",
        "-e",
        "LOG_LEVEL",
        "docker.io/mcp/filesystem:1.0.2",
        "/project",
    )
    assert any("--mount" in warning for warning in oci.warnings)


def test_a_whole_container_entry_is_filled_in_one_step():
    (plan,) = real("io.github.example/database-manager")
    values = {"DB_USERNAME": "ada", "db_type": "mysql", "database_name": "shop", "port": "3306"}
    filled = plan.filled(values)
    assert line(filled) == (
        "docker run -i --rm --network=host -e DB_USERNAME -e DB_PASSWORD -e SSL_MODE -e DB_TYPE "
        "docker.io/example/database-manager-mcp:3.1.0 --host localhost --port 3306 shop"
    )
    assert filled.env == {
        "DB_USERNAME": "ada",
        "DB_PASSWORD": "${env:DB_PASSWORD}",
        "SSL_MODE": "prefer",
        "DB_TYPE": "mysql",
    }
    assert filled.needs == ()


def test_a_fixed_start_and_an_option_with_a_default_stand_in_their_order():
    (plan,) = real("io.snyk/cli-mcp")
    assert line(plan) == "npx -y snyk@1.1298.0 mcp -t stdio"
    assert line(plan.filled({"t": "sse"})).endswith("mcp -t sse")


def test_registry_types_without_a_runner_say_what_a_person_can_do():
    (plan,) = real("io.github.username/widget-mcp")
    assert "`cargo install widget-mcp --version 0.3.0`" in plan.problem
    assert (plan.command, plan.url) == (None, None)


def test_a_registry_type_of_tomorrow_is_told_and_the_others_stay():
    known = {"registryType": "npm", "identifier": "x", "version": "1.0.0"}
    new = {"registryType": "quantum", "identifier": "x", "version": "1.0.0"}
    raw = {"name": "io.example/x", "version": "1", "packages": [new, known]}
    strange, npm = ways(raw)
    assert 'registry type "quantum"' in strange.problem
    assert line(npm) == "npx -y x@1.0.0"
    assert preferred((strange, npm)) == npm


@pytest.mark.parametrize("raw", published_entries()[::7], ids=lambda raw: raw["name"])
def test_every_published_package_has_a_way_to_be_set_up(raw: dict[str, Any]):
    (plan,) = ways(raw)
    assert plan.problem == ""
    name, version = raw["packages"][0]["identifier"], raw["packages"][0]["version"]
    assert plan.args == ("--from", f"{name}=={version}", name)


def test_the_registrys_invalid_examples_cannot_be_added():
    invalid = invalid_entries()
    (latest,) = ways(invalid["package-version-latest.json"])
    assert "exact version" in latest.problem
    (argument,) = ways(invalid["positional-argument-missing-value.json"])
    assert "packageArguments" in argument.problem
    (old,) = ways(invalid["safeagent.json"])
    assert old.problem


def test_a_deprecated_server_warns_first_and_a_deleted_one_cannot_be_added():
    raw = next(raw for raw in real_entries() if raw["name"] == "io.snyk/cli-mcp")
    (plan,) = ways(raw, status="deprecated", statusMessage="use\x1b[2J snyk/two")
    assert plan.warnings[0] == "it is deprecated: use\\u{1b}[2J snyk/two"
    (plan,) = ways(raw, status="deleted", statusMessage="malware")
    assert "deleted from the registry: malware" in plan.problem
    with pytest.raises(ValueError, match="malware"):
        plan.filled({})


def test_the_first_way_whose_program_is_here_is_preferred():
    raw = next(r for r in real_entries() if r["version"] == "1.7.3")
    found = ways(raw, which=lambda name: None if name == "npx" else name)
    chosen = preferred(found)
    assert chosen is not None
    assert chosen.kind == "oci"
    assert preferred(()) is None


@pytest.mark.parametrize(
    "word", ["-c", "--call", "--package", "--registry", "--script-shell", "sh", "--node-options"]
)
def test_an_entry_cannot_make_npx_run_something_else(word: str):
    plan = package(
        registryType="npm",
        identifier="x",
        version="1.0.0",
        runtimeArguments=[{"type": "positional", "value": word}],
    )
    assert "something other than the pinned package" in plan.problem
    named = package(
        registryType="npm",
        identifier="x",
        version="1.0.0",
        runtimeArguments=[{"type": "named", "name": word, "value": "evil"}],
    )
    assert named.problem


def test_what_npx_is_told_anyway_is_not_said_twice():
    plan = package(
        registryType="npm",
        identifier="x",
        version="1.0.0",
        runtimeArguments=[
            {"type": "positional", "value": "-y"},
            {"type": "positional", "value": "x@1.0.0"},
        ],
    )
    assert line(plan) == "npx -y x@1.0.0"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "uvx --from x==1.0 x"),
        ([("--from", "x"), "serve-x"], "uvx --from x==1.0 serve-x"),
        ([("--from", "x==1.0"), "x"], "uvx --from x==1.0 x"),
        (["x"], "uvx --from x==1.0 x"),
    ],
)
def test_uvx_may_be_told_which_script_of_the_package_it_is(arguments: Any, expected: str):
    given = [
        {"type": "positional", "value": a}
        if isinstance(a, str)
        else {"type": "named", "name": a[0], "value": a[1]}
        for a in arguments
    ]
    plan = package(registryType="pypi", identifier="x", version="1.0", runtimeArguments=given)
    assert line(plan) == expected


def test_a_module_of_a_python_package_is_started_in_an_environment():
    given = [{"type": "named", "name": "-m", "value": "x.server"}]
    plan = package(registryType="pypi", identifier="x", version="1.0", runtimeArguments=given)
    assert (plan.unprepared, plan.args) == ("venv", ("-m", "x.server"))


@pytest.mark.parametrize(
    "given",
    [
        [("--from", "git+https://evil.example/x"), "x"],
        [("--index-url", "https://evil.example")],
        [("--with", "evil"), "x"],
        [("-c", "import os")],
        [("-m", "x;y")],
    ],
)
def test_an_entry_cannot_make_uvx_or_python_run_something_else(given: Any):
    arguments = [
        {"type": "positional", "value": a}
        if isinstance(a, str)
        else {"type": "named", "name": a[0], "value": a[1]}
        for a in given
    ]
    plan = package(registryType="pypi", identifier="x", version="1.0", runtimeArguments=arguments)
    assert "something other than the pinned package" in plan.problem


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        ("npm", "https://evil.example"),
        ("pypi", "https://test.pypi.org"),
        ("nuget", "https://evil.example"),
    ],
)
def test_a_package_of_another_place_is_not_followed_there(kind: str, base: str):
    plan = package(registryType=kind, identifier="x", version="1.0.0", registryBaseUrl=base)
    assert plan.problem.startswith(f"is published at {base}, not at ")


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "NODE_OPTIONS", "npm_config_registry", "PIP_INDEX_URL"]
)
def test_an_entry_cannot_fix_what_its_runner_runs(name: str):
    plan = package(
        registryType="npm",
        identifier="x",
        version="1.0.0",
        environmentVariables=[{"name": name, "value": "evil"}],
    )
    assert plan.env == {}
    assert name in plan.warnings[0]


def test_what_is_no_variable_or_header_is_left_out_and_said():
    plan = package(
        registryType="npm",
        identifier="x",
        version="1.0.0",
        environmentVariables=[{"name": "A B", "value": "1"}, {"name": "OK", "value": "1"}],
    )
    assert plan.env == {"OK": "1"}
    assert "A B" in plan.warnings[0]
    found = remote(url="https://a.example", headers=[{"name": "X\r\nY", "value": "1"}])
    assert found.headers == {}
    assert found.warnings


def test_an_entrys_text_can_never_refer_to_a_secret_of_the_persons():
    trick = "${file:~/.ssh/id_rsa}${env:AWS_SECRET_ACCESS_KEY}"
    plan = package(
        registryType="npm",
        identifier="x",
        version="1.0.0",
        environmentVariables=[
            {"name": "A", "value": trick},
            {"name": "B", "default": trick},
        ],
    )
    escaped = trick.replace("${", "$${")
    assert plan.env == {"A": escaped, "B": escaped}
    assert plan.filled({}).env == {"A": escaped, "B": escaped}
    found = remote(url="https://a.example/?k=" + trick, headers=[{"name": "H", "value": trick}])
    assert found.url == "https://a.example/?k=" + escaped
    assert found.headers == {"H": escaped}
    argument = package(
        registryType="npm",
        identifier="x",
        version="1.0.0",
        packageArguments=[{"type": "positional", "value": trick}],
    )
    assert "reads like a reference" in argument.problem


def test_a_bundle_without_a_hash_or_over_http_cannot_be_added():
    url = "https://github.com/a/mcp/releases/x.mcpb"
    assert "SHA-256" in package(registryType="mcpb", identifier=url).problem
    plain = package(
        registryType="mcpb", identifier=url.replace("https", "http"), fileSha256="0" * 64
    )
    assert "not https" in plain.problem


def test_a_package_that_serves_http_is_a_url_and_what_to_start_first():
    plan = package(
        registryType="npm",
        identifier="x",
        version="1.0.0",
        transport={"type": "streamable-http", "url": "http://localhost:{--port}/mcp"},
        packageArguments=[{"type": "named", "name": "--port", "default": "8080"}],
        environmentVariables=[{"name": "KEY", "isSecret": True, "isRequired": True}],
    )
    assert (plan.command, plan.url) == (None, "http://localhost:8080/mcp")
    assert plan.warnings[-1] == (
        "it serves HTTP by itself; start it yourself: npx -y x@1.0.0 --port 8080, with KEY set"
    )
    assert [need.name for need in plan.needs] == ["port"]


@pytest.mark.parametrize(
    "raw",
    [
        {"url": ""},
        {"url": "https://a.example/ x"},
        {"url": "javascript:alert(1)"},
        {"url": "ftp://a.example"},
        {"type": "stdio", "url": "https://a.example"},
        {"type": "websocket", "url": "wss://a.example"},
    ],
)
def test_a_remote_that_is_no_http_url_cannot_be_added(raw: dict[str, str]):
    plan = remote(**raw)
    assert plan.problem
    assert plan.url is None


def test_a_remote_over_http_is_said_to_be_readable():
    assert remote(url="http://a.example/mcp").warnings


def test_a_boolean_option_is_its_flag_or_nothing():
    plan = package(
        registryType="npm",
        identifier="x",
        version="1.0.0",
        packageArguments=[
            {"type": "named", "name": "--fixed", "value": "true", "format": "boolean"},
            {"type": "named", "name": "--read-only", "format": "boolean"},
        ],
    )
    assert plan.args[2:] == ("--fixed",)
    assert plan.filled({"read-only": "true"}).args[2:] == ("--fixed", "--read-only")
    assert plan.filled({"read-only": "false"}).args[2:] == ("--fixed",)


def test_two_inputs_of_one_name_have_names_of_their_own():
    variables = {"path": {"isRequired": True}}
    plan = package(
        registryType="npm",
        identifier="x",
        version="1.0.0",
        packageArguments=[
            {"type": "named", "name": "--in", "value": "{path}", "variables": variables},
            {"type": "named", "name": "--out", "value": "{path}:{path}", "variables": variables},
        ],
    )
    assert [need.name for need in plan.needs] == ["path", "path-2"]
    filled = plan.filled({"path": "a", "path-2": "b"})
    assert filled.args[2:] == ("--in", "a", "--out", "b:b")


def test_braces_that_nobody_explains_stay_as_they_are():
    plan = package(
        registryType="npm",
        identifier="x",
        version="1.0.0",
        packageArguments=[{"type": "positional", "value": '{"json": {x}}'}],
    )
    assert plan.args[2:] == ('{"json": {x}}',)


def test_a_default_that_the_entry_does_not_accept_itself_is_dropped_and_said():
    plan = package(
        registryType="npm",
        identifier="x",
        version="1.0.0",
        environmentVariables=[
            {"name": "MODE", "default": "c", "choices": ["a", "b"]},
            {"name": "N", "default": "many", "format": "number"},
        ],
    )
    assert plan.env == {}
    assert len(plan.warnings) == 2


def test_hostile_texts_of_an_entry_are_clean_in_its_plans():
    bad = "\x1b]0;owned\x07\u202e\u200b"
    plan = package(
        registryType=f"npm{bad}",
        identifier=f"x{bad}",
        version=f"1{bad}",
        environmentVariables=[{"name": "A", "description": bad, "choices": [bad]}],
    )
    assert plan.title.isprintable()
    assert plan.problem.isprintable()
    good = package(
        registryType="npm",
        identifier="x",
        version="1.0.0",
        environmentVariables=[{"name": f"A{bad}"}, {"name": "A", "description": bad}],
        packageArguments=[{"type": "positional", "valueHint": f"h{bad}", "description": bad}],
    )
    for need in good.needs:
        assert (need.name + need.description).isprintable()
    assert all(warning.isprintable() for warning in good.warnings)


def test_a_listing_of_a_server_with_no_way_has_no_plans():
    assert real("io.modelcontextprotocol.anonymous/embedded-mcp") == ()
    assert isinstance(read_listing({"server": real_entries()[0]}), Listing)
