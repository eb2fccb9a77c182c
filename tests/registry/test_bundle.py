"""Bundles: real zip files, good and hostile, over real HTTP."""

import hashlib
import io
import json
import stat
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from agent_host.registry import bundle, manifest
from agent_host.registry.install import plans
from agent_host.registry.plan import InstallPlan
from agent_host.registry.prepare import prepare
from agent_host.registry.server_json import Server, read_server
from agent_host.registry.web import Fault, Web
from tests.fakes.registry_server import Registry

MANIFEST: dict[str, Any] = {
    "manifest_version": "0.3",
    "name": "thing",
    "version": "1.0.0",
    "description": "x",
    "author": {"name": "a"},
    "server": {
        "type": "node",
        "entry_point": "server/index.js",
        "mcp_config": {
            "command": "node",
            "args": ["${__dirname}/server/index.js", "--dirs", "${user_config.dirs}"],
            "env": {
                "API_KEY": "${user_config.key}",
                "MODE": "${user_config.mode}",
                "HOME2": "${HOME}",
            },
        },
    },
    "user_config": {
        "key": {"type": "string", "title": "Key", "sensitive": True, "required": True},
        "dirs": {"type": "directory", "multiple": True, "required": True, "title": "Folders"},
        "mode": {"type": "string", "default": "fast"},
    },
}


def packed(files: dict[str, bytes], *, manifest: Any = None, links: tuple[str, ...] = ()) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(manifest or MANIFEST))
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            kind = stat.S_IFLNK if name in links else stat.S_IFREG
            mode = 0o755 if name.endswith(".sh") else 0o600
            info.external_attr = (kind | mode) << 16
            archive.writestr(info, content)
    return data.getvalue()


GOOD = {"server/index.js": b"// x", "server/run.sh": b"#!/bin/sh\n"}


def plan_for(registry: Registry, data: bytes, sha256: str = "") -> InstallPlan:
    registry.files["/x.mcpb"] = data
    raw = {
        "name": "io.example/thing",
        "version": "1",
        "packages": [
            {
                "registryType": "mcpb",
                "identifier": f"{registry.url}/x.mcpb",
                "fileSha256": sha256 or hashlib.sha256(data).hexdigest(),
                "transport": {"type": "stdio"},
            }
        ],
    }
    server = read_server(raw)
    assert isinstance(server, Server)
    (plan,) = plans(server)
    assert plan.problem == ""
    return plan


def prepared(registry: Registry, web: Web, store: Path, data: bytes, sha256: str = "") -> Any:
    plan = plan_for(registry, data, sha256)
    return prepare(plan, store, web, python=sys.executable, environ={})


def test_a_bundle_is_fetched_checked_unpacked_and_started_as_it_says(
    registry: Registry, web: Web, tmp_path: Path
):
    data = packed(GOOD)
    found = prepared(registry, web, tmp_path, data)
    folder = tmp_path / "mcpb" / hashlib.sha256(data).hexdigest()
    assert (folder / "server" / "index.js").read_bytes() == b"// x"
    assert (folder / "server" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (folder / "server" / "index.js").stat().st_mode & 0o777 == 0o644
    assert (found.command, found.unprepared) == ("node", "")
    assert [(n.name, n.secret, n.required, n.where) for n in found.needs] == [
        ("dirs", False, True, "arg"),
        ("key", True, True, "env"),
        ("mode", False, False, "env"),
    ]
    filled = found.filled({"dirs": "/a\n/b", "key": "${env:K}"})
    assert filled.args == (f"{folder}/server/index.js", "--dirs", "/a", "/b")
    assert filled.env == {"API_KEY": "${env:K}", "MODE": "fast", "HOME2": str(Path.home())}
    assert found.pinned.endswith(f"sha256:{hashlib.sha256(data).hexdigest()}")


def test_a_bundle_that_is_here_is_not_fetched_again(registry: Registry, web: Web, tmp_path: Path):
    data = packed(GOOD)
    prepared(registry, web, tmp_path, data)
    registry.asked.clear()
    prepared(registry, web, tmp_path, data)
    assert registry.asked == []


def test_a_bundle_with_another_hash_is_never_unpacked(registry: Registry, web: Web, tmp_path: Path):
    found = prepared(registry, web, tmp_path, packed(GOOD), "0" * 64)
    assert isinstance(found, Fault)
    assert "is not the one that was published" in found.text
    assert list(tmp_path.rglob("*.js")) == []


def test_a_bundle_that_is_not_there_is_told(registry: Registry, web: Web, tmp_path: Path):
    plan = plan_for(registry, packed(GOOD))
    registry.files.clear()
    found = prepare(plan, tmp_path, web, python="", environ={})
    assert isinstance(found, Fault)
    assert "HTTP 404" in found.text


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "/etc/evil",
        "..",
        "a\\..\\..\\evil",
        "C:/evil",
        "C:evil",
        "/".join(["d"] * 60),
    ],
)
def test_a_name_that_leads_out_refuses_the_whole_bundle(
    registry: Registry, web: Web, tmp_path: Path, name: str
):
    store = tmp_path / "deep" / "store"
    found = prepared(registry, web, store, packed({"good.txt": b"x", name: b"evil"}))
    assert isinstance(found, Fault)
    assert "not safe to unpack" in found.text
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_link_refuses_the_whole_bundle(registry: Registry, web: Web, tmp_path: Path):
    data = packed({"link": b"/etc/passwd", "link/x": b"y"}, links=("link",))
    found = prepared(registry, web, tmp_path, data)
    assert isinstance(found, Fault)
    assert '"link" is a link or a device' in found.text
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_two_files_of_one_name_refuse_the_whole_bundle(
    registry: Registry, web: Web, tmp_path: Path
):
    found = prepared(registry, web, tmp_path, packed({"a/X": b"1", "a/x": b"2"}))
    assert isinstance(found, Fault)
    assert "twice" in found.text


def test_a_bundle_that_unpacks_to_too_much_is_refused_while_it_is_unpacked(
    registry: Registry, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bundle, "MAX_UNPACKED", 1_000_000)
    found = prepared(registry, web, tmp_path, packed({"big": b"\0" * 50_000_000}))
    assert isinstance(found, Fault)
    assert "larger than 1000000 bytes" in found.text
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_bundle_of_too_many_files_is_refused(
    registry: Registry, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bundle, "MAX_ENTRIES", 10)
    found = prepared(registry, web, tmp_path, packed({f"f{i}": b"" for i in range(11)}))
    assert isinstance(found, Fault)
    assert "more than 10 files" in found.text


def test_a_bundle_that_is_too_large_is_not_taken(
    registry: Registry, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bundle, "MAX_FILE", 100)
    assert isinstance(prepared(registry, web, tmp_path, packed(GOOD)), Fault)


@pytest.mark.parametrize("data", [b"", b"no zip", packed(GOOD)[:-40]])
def test_what_is_no_zip_file_is_told(registry: Registry, web: Web, tmp_path: Path, data: bytes):
    found = prepared(registry, web, tmp_path, data)
    assert isinstance(found, Fault)
    assert "no zip file" in found.text


def test_a_signature_after_the_archive_does_not_matter(
    registry: Registry, web: Web, tmp_path: Path
):
    data = packed(GOOD) + b"MCPB_SIG_V1" + b"\x08\0\0\0" + b"12345678" + b"MCPB_SIG_END"
    assert prepared(registry, web, tmp_path, data).command == "node"


def changed(**config: Any) -> dict[str, Any]:
    server = MANIFEST["server"] | {"mcp_config": MANIFEST["server"]["mcp_config"] | config}
    return MANIFEST | {"server": server}


@pytest.mark.parametrize(
    "command",
    [
        "/bin/sh",
        "bash",
        "sh",
        "curl",
        "${__dirname}/../../../bin/sh",
        "server/none",
        "cmd.exe",
        "-c",
    ],
)
def test_no_shell_and_no_other_program_starts_a_bundle(
    registry: Registry, web: Web, tmp_path: Path, command: str
):
    found = prepared(registry, web, tmp_path, packed(GOOD, manifest=changed(command=command)))
    assert isinstance(found, Fault)
    assert "is started by" in found.text


def test_a_program_of_the_bundle_starts_it(registry: Registry, web: Web, tmp_path: Path):
    said = changed(command="${__dirname}/server/run.sh", args=["mcp"])
    found = prepared(registry, web, tmp_path, packed(GOOD, manifest=said))
    assert found.command.endswith("/server/run.sh")
    assert Path(found.command).is_file()
    assert found.args == ("mcp",)


def test_what_the_bundle_says_for_this_platform_goes_before(
    registry: Registry, web: Web, tmp_path: Path
):
    said = changed(platform_overrides={sys.platform: {"args": ["here"]}, "win32": {"args": ["no"]}})
    found = prepared(registry, web, tmp_path, packed(GOOD, manifest=said))
    assert found.args == ("here",)


def test_a_bundle_for_another_platform_is_told(registry: Registry, web: Web, tmp_path: Path):
    said = MANIFEST | {"compatibility": {"platforms": ["win32"]}}
    found = prepared(registry, web, tmp_path, packed(GOOD, manifest=said))
    assert isinstance(found, Fault)
    assert "made for win32" in found.text


def test_text_of_a_manifest_is_no_reference_to_a_secret(
    registry: Registry, web: Web, tmp_path: Path
):
    said = changed(env={"A": "${file:~/.ssh/id_rsa}"}, args=[])
    found = prepared(registry, web, tmp_path, packed(GOOD, manifest=said))
    assert found.env == {"A": "$${file:~/.ssh/id_rsa}"}


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"[" * 100_000, b"\xff"])
def test_a_manifest_that_cannot_be_read_is_told(tmp_path: Path, text: bytes):
    (tmp_path / "manifest.json").write_bytes(text)
    found = manifest.read(tmp_path, "x")
    assert isinstance(found, Fault)
    assert "no manifest.json that can be read" in found.text


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"server": 1},
        {"server": {"mcp_config": []}},
        changed(args=[1]),
        changed(args=["${env:HOME}"]),
        changed(args=["x"] * 1000),
        {"server": {"type": "binary", "mcp_config": {"command": 7}}},
    ],
)
def test_a_manifest_of_the_wrong_shape_is_told(tmp_path: Path, said: Any):
    (tmp_path / "manifest.json").write_text(json.dumps(said))
    assert isinstance(manifest.read(tmp_path, "x"), Fault)
