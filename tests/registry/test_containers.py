"""What an entry may say of docker, and what of it reaches the command line."""

from typing import Any

import pytest

from agent_host.registry.install import plans
from agent_host.registry.plan import InstallPlan
from agent_host.registry.server_json import Server, read_server


def package(**raw: Any) -> InstallPlan:
    one = {"transport": {"type": "stdio"}} | raw
    server = read_server({"name": "io.example/thing", "version": "1", "packages": [one]})
    assert isinstance(server, Server)
    (plan,) = plans(server, which=lambda name: name)
    return plan


@pytest.mark.parametrize(
    "given",
    [
        [{"type": "positional", "value": "evil/image"}],
        [{"type": "named", "name": "--privileged"}, {"type": "positional", "value": "evil/image"}],
        [{"type": "positional", "valueHint": "image"}],
    ],
)
def test_an_entry_cannot_name_another_image_to_docker(given: Any):
    plan = package(registryType="oci", identifier="good/image:1", runtimeArguments=given)
    assert "could name another image" in plan.problem


def test_a_value_of_a_docker_option_can_never_be_read_as_an_image():
    plan = package(
        registryType="oci",
        identifier="good/image:1",
        runtimeArguments=[
            {"type": "named", "name": "--privileged", "value": "evil/image"},
            {"type": "positional", "value": "-v"},
            {"type": "positional", "value": "/:/host"},
        ],
    )
    assert plan.args[3:] == ("--privileged=evil/image", "-v=/:/host", "good/image:1")
    assert len([w for w in plan.warnings if "more of this machine" in w]) == 2


def test_an_older_image_entry_gets_its_tag_and_its_registry():
    plan = package(
        registryType="oci", identifier="a/b", version="2", registryBaseUrl="https://ghcr.io"
    )
    assert plan.args[-1] == "ghcr.io/a/b:2"


def test_a_digest_needs_no_warning():
    image = f"ghcr.io/a/b@sha256:{'0' * 64}"
    plan = package(registryType="oci", identifier=image)
    assert plan.pinned == f"oci:{image}"
    assert plan.warnings == ()


def docker(*runtime: dict[str, Any], **more: Any) -> InstallPlan:
    return package(registryType="oci", identifier="a/b:1", runtimeArguments=[*runtime], **more)


def test_what_is_said_anyway_is_said_once():
    words = ("run", "-i", "--rm", "-it", "a/b", "a/b:1")
    plan = docker(*({"type": "positional", "value": word} for word in words))
    assert plan.args == ("run", "-i", "--rm", "a/b:1")


@pytest.mark.parametrize("word", ["a/b:2", "other:1", "ghcr.io/a/b"])
def test_another_tag_of_the_image_is_another_image(word: str):
    plan = docker({"type": "positional", "value": word})
    assert "could name another image" in plan.problem


def test_options_as_bare_words_become_one_item_each():
    words = ("--env=MODE=x", "--memory=1g", "-v", "/a:/b", "--read-only", "--init")
    plan = docker(*({"type": "positional", "value": word} for word in words))
    assert plan.args[3:-1] == ("--memory=1g", "-v=/a:/b", "--read-only", "--init", "-e", "MODE")
    assert plan.env == {"MODE": "x"}


def test_a_variable_that_is_passed_on_by_its_name_is_an_input():
    plan = docker(
        {"type": "named", "name": "-e", "value": "TOKEN", "isRequired": True},
        environmentVariables=[{"name": "KEY", "isSecret": True, "isRequired": True}],
    )
    assert plan.env == {"KEY": "${env:KEY}", "TOKEN": "<TOKEN>"}
    assert [need.name for need in plan.needs] == ["KEY", "TOKEN"]


def test_a_secret_inside_a_variable_stays_out_of_the_command_line():
    url = "DSN=postgres://{user}:{password}@db/x"
    variables = {
        "user": {"isRequired": True},
        "password": {"isRequired": True, "isSecret": True},
    }
    plan = docker({"type": "named", "name": "--env", "value": url, "variables": variables})
    filled = plan.filled({"user": "ada"})
    assert filled.args == ("run", "-i", "--rm", "-e", "DSN", "a/b:1")
    assert filled.env == {"DSN": "postgres://ada:${env:DSN_PASSWORD}@db/x"}


def test_a_variable_that_is_not_set_is_not_handed_over():
    plan = docker(environmentVariables=[{"name": "A"}, {"name": "B", "default": "1"}])
    assert plan.args == ("run", "-i", "--rm", "-e", "B", "a/b:1")
    assert "-e" not in docker().args


def test_an_image_that_is_none_cannot_be_added():
    plan = package(registryType="oci", identifier="--privileged")
    assert "not the name of a container image" in plan.problem
