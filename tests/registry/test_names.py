import pytest

from agent_host.core.errors import UsageError
from agent_host.registry import names


@pytest.mark.parametrize(
    ("registry", "name", "version"),
    [
        ("npm", "@modelcontextprotocol/server-filesystem", "2026.8.31"),
        ("npm", "snyk", "1.1298.0"),
        ("npm", "JSONStream", "1.0.0-rc.1+build.5"),
        ("pypi", "mcp-server-time", "2026.10.19"),
        ("pypi", "A.b_c", "1!2.0rc1.post2.dev3+local.1"),
        ("nuget", "Knapcode.SampleMcpServer", "0.4.0-beta"),
        ("nuget", "TimeMcpServer", "1.0.8"),
    ],
)
def test_names_and_exact_versions_of_each_registry_pass(registry: str, name: str, version: str):
    assert names.package_problem(registry, name, version) == ""


HOSTILE = [
    "",
    "-x",
    "--registry=https://evil.example",
    "x y",
    "x;rm -rf ~",
    "x\ny",
    "x$(id)",
    "`id`",
    "../x",
    "x/../y",
    "a..b",
    "https://evil.example/x.tgz",
    "git+https://evil.example/x",
    "file:../x",
    "npm:other@1.0.0",
    "x@2.0.0",
    "x[extra]",
    "@scope",
    "@scope/a/b",
    "@/x",
    "x\x00",
    "х",  # Cyrillic
    "x" * 300,
    "x ",
    "C:\\x",
]


@pytest.mark.parametrize("registry", ["npm", "pypi", "nuget"])
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_else_is_the_name_of_a_package(registry: str, name: str):
    assert "identifier" in names.package_problem(registry, name, "1.0.0")


@pytest.mark.parametrize("registry", ["npm", "pypi", "nuget"])
@pytest.mark.parametrize(
    "version",
    ["", "latest", "^1.2.3", "~1.2", ">=1", "1.x", "1.*", "*", "1.0.0 --x", "-1", "1;x", "1\n"],
)
def test_ranges_tags_and_tricks_are_no_exact_version(registry: str, version: str):
    assert "pinned" in names.package_problem(registry, "x", version)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("docker.io/mcp/filesystem:1.0.2", ("docker.io", "mcp/filesystem", "1.0.2", "")),
        ("mcp/filesystem", ("", "mcp/filesystem", "", "")),
        ("localhost:5000/x:1", ("localhost:5000", "x", "1", "")),
        (f"ghcr.io/a/b:1@sha256:{'0' * 64}", ("ghcr.io", "a/b", "1", f"sha256:{'0' * 64}")),
        ("ubuntu", ("", "ubuntu", "", "")),
    ],
)
def test_an_image_reference_is_taken_apart(text: str, parts: tuple[str, str, str, str]):
    assert names.image(text) == parts


@pytest.mark.parametrize(
    "text",
    [
        *[name for name in HOSTILE if name not in ("x@2.0.0", "a..b")],
        "a..b/c",
        "Upper/case",
        "x:tag:tag",
        "x@sha256:abc",
        f"x@md5:{'0' * 64}",
        "x/",
    ],
)
def test_nothing_else_is_an_image(text: str):
    assert names.image(text) is None


@pytest.mark.parametrize(
    "url",
    ["https://example.com/a?b=c", "http://127.0.0.1:8/x", "http://[::1]/", "http://localhost"],
)
def test_https_and_this_machine_may_be_asked(url: str):
    assert names.url_problem(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "http://localhost.evil.example/",
        "ftp://example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://user:secret@example.com/",
        "https://",
        "https://exa mple.com",
        "https://example.com/\n",
        "https://example.com:99999/",
        "https://[::1",
        "//example.com",
        "https://example.com/<x>",
        "https://ех.example/",
        "",
    ],
)
def test_no_other_url_is_fetched(url: str):
    assert names.url_problem(url)


def test_a_registrys_url_loses_its_slash_and_its_version():
    assert names.registry_url("https://r.example/") == "https://r.example"
    assert names.registry_url(" https://r.example/mcp/v0.1/ ") == "https://r.example/mcp"


@pytest.mark.parametrize(
    "url", ["http://r.example", "r.example", "https://r.example/?a=b", "x\x1b"]
)
def test_a_registrys_url_that_cannot_be_used_is_a_usage_error_that_shows_one_that_can(url: str):
    with pytest.raises(UsageError, match=r"https://registry\.modelcontextprotocol\.io"):
        names.registry_url(url)
