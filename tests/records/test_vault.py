import base64

import pytest

from agent_host.core.types import Image, Resource, Text, Tool, ToolResult
from agent_host.records.detect import Detector
from agent_host.records.marks import Marks
from agent_host.records.redact import Redactor
from agent_host.records.vault import Vault
from tests.records.secrets import SAMPLES

TOKEN = SAMPLES["GitHub"].secret
PASSWORD = "Tr0ub4dor&3x"


def tool(server, name):
    return Tool(name=f"{server}__{name}", server=server, tool=name, description="", input_schema={})


TAKE, OTHER = tool("crm", "send_it"), tool("crm", "look")


def vault(*reveal, hide=True, resumed=False):
    marks = Marks(lambda: b"k" * 32, keep=hide)
    redactor = Redactor({"CRM": "c0nfigured"}, Detector(), marks)
    return Vault(redactor, reveal, hide=hide, resumed=resumed)


def result(*content, **more):
    return ToolResult(call_id="c", content=content, **more)


def concealed(held, text=f"x {TOKEN} y"):
    [block] = held.conceal(result(Text(text=text))).content
    return block.text.removeprefix("x ").removesuffix(" y")


def test_all_text_of_a_result_is_concealed_and_the_rest_is_as_it_was():
    image = Image(data="ghp_", media_type="image/png")
    blob = base64.b64encode(f"password={PASSWORD}\n".encode()).decode()
    before = result(
        Text(text=f"see {TOKEN}, c0nfigured"),
        Resource(uri=f"https://u:{PASSWORD}@h/", text=f"password: {PASSWORD}"),
        Resource(uri="file:///b", media_type="text/plain", data=blob),
        Resource(uri="file:///c", media_type="image/png", data=blob),
        image,
        error="tool_error",
        for_user=(Text(text=TOKEN),),
        labels=("private",),
    )
    after = vault().conceal(before)
    decoded = base64.b64decode(after.content[2].data).decode()
    shown = f"{after.content[:2]} {decoded} {after.for_user}"
    assert TOKEN not in shown
    assert PASSWORD not in shown
    assert "c0nfigured" not in shown
    assert "[secret:CRM]" in shown
    assert after.content[3:] == before.content[3:]
    assert (after.call_id, after.error, after.labels) == ("c", "tool_error", ("private",))


def test_only_a_named_tool_gets_a_secret_back_alone_and_inside_a_text_but_not_as_a_key():
    held = vault("crm/send_*")
    mark = concealed(held)
    arguments = {"a": mark, "b": [f"Bearer {mark}, {mark}", {mark: 1}], "n": 1.5, "x": None}
    assert held.reveal(TAKE, arguments) == {
        "a": TOKEN,
        "b": [f"Bearer {TOKEN}, {TOKEN}", {mark: 1}],
        "n": 1.5,
        "x": None,
    }
    for stranger in (OTHER, tool("crm2", "send_it"), tool("other", "crm/send_it")):
        assert held.reveal(stranger, arguments) is arguments


@pytest.mark.parametrize(
    "invented",
    [
        "[secret:github-token:000000]",
        "[secret:CRM]",
        "[secret:github-token]",
        "[secret:token 1]",
        "[SECRET:GITHUB-TOKEN:000000]",
    ],
)
def test_what_the_model_made_up_reveals_nothing(invented):
    held = vault("*/*")
    mark = concealed(held)
    assert held.reveal(TAKE, {"a": invented}) == {"a": invented}
    changed = mark.replace("github-token", "token")
    assert held.reveal(TAKE, {"a": changed}) == {"a": changed}


def test_a_call_that_would_send_a_mark_as_if_it_were_the_secret_is_told_of():
    held = vault("crm/send_*")
    mark = concealed(held)
    assert held.missing(TAKE, {"a": [mark]}) is None
    assert held.missing(OTHER, {"a": "[secret:password:00ff00]"}) is None
    problem = held.missing(TAKE, {"a": ["[secret:password:00ff00]"]})
    assert problem.startswith("[secret:password:00ff00] in the arguments is a placeholder")
    assert held.missing(TAKE, {"a": "[secret:CRM]"}) is not None


def test_after_a_resume_nothing_is_there_to_reveal():
    mark = concealed(vault("crm/*"))
    assert vault("crm/*", resumed=True).missing(TAKE, {"a": mark}) is not None
    assert vault(hide=False, resumed=True).missing(OTHER, {"a": mark}) is not None
    assert vault(hide=False, resumed=True).missing(OTHER, {"a": "plain", "n": 1}) is None
    assert vault(hide=False).missing(OTHER, {"a": mark}) is None


def test_what_a_named_tool_says_back_is_concealed_again():
    held = vault("crm/*")
    mark = concealed(held, f"x password: {PASSWORD} y").split()[-1]
    assert held.reveal(TAKE, {"a": mark}) == {"a": PASSWORD}
    assert held.conceal(result(Text(text=f"got {PASSWORD}"))).content[0].text == f"got {mark}"


def test_without_hiding_a_result_is_the_same_object():
    before = result(Text(text=TOKEN))
    assert vault(hide=False).conceal(before) is before
    assert TOKEN not in repr(vault())


def test_names_of_resources_and_files_of_any_kind_but_media_are_concealed():
    blob = base64.b64encode(f"key={TOKEN}\n".encode()).decode()
    before = result(
        Resource(uri="file:///a", name=f"key {TOKEN}"),
        Resource(uri="file:///.env", media_type="application/octet-stream", data=blob),
        Resource(uri="file:///b", data=base64.b64encode(b"\xff\xfe\x00").decode()),
    )
    link, file, binary = vault().conceal(before).content
    assert TOKEN not in link.name
    assert TOKEN.encode() not in base64.b64decode(file.data)
    assert binary is before.content[2]
