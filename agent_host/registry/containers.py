"""A container image as a server: `docker run -i --rm IMAGE`.

Theory of operation: the image is the only bare word before the program's own arguments. Whatever an
entry wants of docker is written as one item, `--flag=value`, so that no value of it can be read as
another image; a bare word where an image could stand is refused. Environment variables, also those
an entry spells as `-e NAME=value`, are handed over by name: their values are in the environment of
docker and not on a command line that everybody can read. What opens the machine to the container is
a warning, because some servers need it and a person has to know.
"""

from collections.abc import Iterator
from dataclasses import replace

from agent_host.core.text import clean_line
from agent_host.registry import names
from agent_host.registry.inputs import Inputs
from agent_host.registry.plan import Argument, Slot, Source, Start, Text
from agent_host.registry.server_json import Input, Package

_OURS = ("run", "-i", "--interactive", "--rm", "-t", "--tty", "-it", "-ti", "-d", "--detach")
"""Said anyway, or not for a server on stdio."""
_ENV = ("-e", "--env")
_OPENS = (
    "--privileged",
    "--cap-add",
    "--device",
    "--pid",
    "--ipc",
    "--userns",
    "--security-opt",
    "--network",
    "--net",
    "-v",
    "--volume",
    "--mount",
    "--env-file",
    "--gpus",
)
"""Options that give a container more of the machine, or of its files, than it has by itself."""


def container(
    package: Package, program: list[Argument], env: dict[str, Text], inputs: Inputs
) -> Start:
    """Return how the image is started. Adds what `-e NAME=value` says to `env`."""
    reference = _reference(package)
    found = names.image(reference)
    if found is None:
        return Start(problem="its identifier is not the name of a container image")
    host, path, tag, digest = found
    runtime: list[Argument] = []
    for given in _paired(package.runtime_arguments):
        if isinstance(given, str):
            if given not in _OURS and not _same_image(given, found):
                shown = clean_line(given, 60)
                return Start(problem=f'its runtime argument "{shown}" could name another image')
            continue
        if given.flag in _ENV and _variable(given, env, inputs):
            continue
        runtime.append(_option(given, inputs, len(runtime) + 1))
    handed = [Argument(flag="-e", text=(name,), env=name) for name in env]
    head = [Argument(text=(word,)) for word in ("run", "-i", "--rm")]
    image = Argument(text=(reference,))
    return Start(
        command="docker",
        args=(*head, *runtime, *handed, image, *program),
        source=Source(kind="oci", identifier=f"{host}/{path}" if host else path, version=tag),
        pinned=f"oci:{reference}" if digest else "",
        warnings=(*_opened(runtime), *(() if digest else (_moves(tag),))),
    )


def _same_image(word: str, ours: tuple[str, str, str, str]) -> bool:
    """Whether a bare word is just the image again, perhaps without its tag."""
    found = names.image(word)
    if found is None or found[:2] != ours[:2]:
        return False
    return found[2:] in (ours[2:], ("", ""))


def _reference(package: Package) -> str:
    """The image as one reference; older entries say its tag and its registry beside it."""
    reference = package.identifier
    found = names.image(reference)
    if found is None:
        return reference
    host, _, tag, digest = found
    base = package.base_url.removeprefix("https://").rstrip("/")
    if not host and base and base != "docker.io":
        reference = f"{base}/{reference}"
    return reference if tag or digest or not package.version else f"{reference}:{package.version}"


def _paired(given: tuple[Input, ...]) -> Iterator[Input | str]:
    """Yield options (with the bare word after one as its value), and bare words as text."""
    rest = list(given)
    while rest:
        first = rest.pop(0)
        if first.flag:
            if first.flag not in _OURS:
                yield first
        elif first.value.startswith("-") and not first.variables:
            flag, equals, value = first.value.partition("=")
            if equals:
                yield Input(flag=flag, value=value)
            elif flag in _OURS:
                continue
            elif rest and not rest[0].flag and not rest[0].value.startswith("-"):
                yield replace(rest.pop(0), flag=flag)
            else:
                yield Input(flag=flag, value="true", format="boolean")
        else:
            yield first.value or first.hint


def _variable(given: Input, env: dict[str, Text], inputs: Inputs) -> bool:
    """Move `-e NAME=text` to the environment; return whether that is what it was."""
    name, equals, value = given.value.partition("=")
    if not names.is_variable(name):
        return False
    if equals:
        env[name] = inputs.template(value, "env", given.variables, replace(given, name=name))
    elif name not in env:
        env[name] = inputs.named(Input(name=name, required=given.required), "env")
    return True


def _option(given: Input, inputs: Inputs, place: int) -> Argument:
    if given.format == "boolean" and given.value == "true":
        return Argument(flag=given.flag)
    made = inputs.argument(given, place)
    return Argument(text=made.text, flag=made.flag, switch=made.switch, joined=True)


def _opened(runtime: list[Argument]) -> Iterator[str]:
    for argument in runtime:
        if argument.flag in _OPENS:
            said = "".join(f"<{p.need}>" if isinstance(p, Slot) else p for p in argument.text)
            shown = clean_line(f"{argument.flag} {said}".strip(), 120)
            yield f"its container gets more of this machine: {shown}"


def _moves(tag: str) -> str:
    what = f'the tag "{tag}"' if tag else "no tag"
    return f"it names {what}, which can be moved to another image; pin it by its digest"
