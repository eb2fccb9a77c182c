"""Every way in which a servers.toml can be wrong: one line, with file, line and what to do."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_host.config.load import load
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean

S = '[servers.a]\ncommand = "x"\n'
M = '[models.m]\nadapter = "openai-chat"\nmodel = "x"\n'

BAD = {
    # what is written: what is said after "servers.toml:"
    'modle = "auto"': '1: unknown key modle in the top of the file; did you mean "model"?',
    f"{S}comand = 1": '3: unknown key comand in [servers.a]; did you mean "command"?',
    f"{S}Timeout = 3": '3: unknown key Timeout in [servers.a]; did you mean "timeout"?',
    "[mcpServers.a]\ncommand = 'x'": "1: unknown key mcpServers in the top of the file; "
    'did you mean "servers"?',
    f"{S}tools = {{ includes = [] }}": "3: unknown key includes in [servers.a.tools]; "
    'did you mean "include"?',
    f"{S}[limits]\nmax_turn = 3": '4: unknown key max_turn in [limits]; did you mean "max_turns"?',
    "[[policy.rules]]\nid = 'a'\neffect = 'ask'\n[[policy.rules]]\nid = 'b'\neffect = 'ask'\n"
    "reasons = 'c'": '7: unknown key reasons in [policy.rules[2]]; did you mean "reason"?',
    f"{S}timeout = '30'": '3: servers.a.timeout must be a number, not text "30"',
    f"{S}timeout = 0": "3: servers.a.timeout should be greater than 0, not 0",
    f"{S}timeout = nan": "3: servers.a.timeout should be a finite number, not nan",
    f"{S}timeout = true": "3: servers.a.timeout must be a number, not true",
    f"{S}parallel = 1": "3: servers.a.parallel must be true or false, not 1",
    f"{S}args = 'one two'": '3: servers.a.args must be an array [...], not text "one two"',
    f"{S}args = [\n  'one',\n  2,\n]": "5: servers.a.args[2] must be text in quotes, not 2",
    f"{S}env = {{ A = 1 }}": "3: servers.a.env.A must be text in quotes, not a number",
    "model = 3": "1: model must be text in quotes, not 3",
    "servers = 3": "1: servers must be a table, not 3",
    "[servers]\na = 3": "2: servers.a must be a table, not 3",
    "[limits]\nmax_turns = 1.5": "2: limits.max_turns must be a whole number, not 1.5",
    "[limits]\nmax_turns = 0": "2: limits.max_turns should be greater than or equal to 1, not 0",
    '[policy]\ndefault = "alow"': '2: policy.default must be "allow", "ask" or "deny", '
    'not text "alow"; did you mean "allow"?',
    "[[policy.rules]]\neffect = 'ask'": '1: [policy.rules[1]] needs the key "id"',
    "[[policy.rules]]\nid = 'a'\neffect = 'ask'\ntools = []": "4: "
    "policy.rules[1].tools must not be empty",
    "[[policy.rules]]\nid = 'default'\neffect = 'ask'": '2: policy.rules[1].id is "default", '
    "the name of a built-in rule; choose another",
    "[[policy.rules]]\nid = 'a'\neffect = 'ask'\n[[policy.rules]]\nid = 'a'\neffect = 'ask'": "1: "
    'policy has the id "a" in rules 1 and 2; rename one',
    "[servers.a]\ntimeout = 3": '1: servers.a needs either "command" (a program) or "url"',
    f"{S}url = 'https://x.example'": '1: servers.a needs either "command" (a program) or "url"',
    f"{S}headers = {{ A = 'b' }}": '1: servers.a has a "command", so "headers" means nothing',
    "[servers.a]\nurl = 'https://x.example'\nargs = ['x']": '1: servers.a has a "url", so "args"',
    "[servers.a]\nurl = 'http://x'\nforward_user = { exchange = true }": "3: "
    'servers.a.forward_user.exchange needs the key "token" in [identity]',
    "[servers.a]\nurl = 'ftp://x'": "2: servers.a.url must start with http:// or https://",
    "[servers.a]\nurl = 'http:///x'": "2: servers.a.url is no URL with a host and a port",
    "[servers.a]\nurl = 'http://h:abc/x'": "2: servers.a.url is no URL with a host and a port",
    "[servers.a]\nurl = 'http://[::1/x'": "2: servers.a.url is no URL with a host and a port",
    "[servers.a]\nurl = 'http://u:p/ss@h/x'": "2: servers.a.url is no URL with a host and a port",
    "[servers.a]\ncommand = ''": "2: servers.a.command must not be empty",
    "[servers.a]\ncommand = 'npx '": "2: servers.a.command has a blank at an end, or a character "
    "that cannot be seen",
    "[servers.a]\ncommand = 'np\u200bx'": "2: servers.a.command has a blank at an end, or a "
    "character that cannot be seen",
    f"{S}args = ['--token', '${{env:T}}']": "3: servers.a.args[2] must not hold a reference",
    f"{S}env = {{ A = '${{keyring:a}}' }}": "3: servers.a.env.A holds a ${keyring:...} "
    "reference without a service or a name; write ${keyring:SERVICE/NAME}",
    f"{S}env = {{ A = '${{TOKEN}}' }}": "3: servers.a.env.A holds a reference of an unknown form",
    "[servers.'a b']\ncommand = 'x'": '1: servers."a b" is not a name',
    f"{M}[models.n]\nadapter = 'openai'": '5: models.n.adapter is "openai", which is no adapter; '
    'did you mean "openai-chat"?',
    "[models.m]\nadapter = 'openai-chat'": '1: models.m needs the key "model"',
    "[models.m]\nmodel = 'x'": '1: models.m needs "provider", as in provider = "openai", or "bas',
    "[models.m]\nprovider = 'opnai'": '2: models.m.provider is "opnai", which is not known; did '
    'you mean "openai"?',
    "[models.m]\nprovider = 'vllm'": '2: models.m.provider is "vllm", which has no usual model; '
    'add the key "model"',
    "[models.m]\nprovider = 'anthropic'\neffort = 'huge'": '3: models.m.effort must be "low", '
    '"medium", "high", "xhigh" or "max", not text "huge"',
    "[models.m]\nprovider = 'groq'\nmodel = 'x'\nfallback = ['n']": "4: models.m.fallback[1] is "
    '"n", which is no model here',
    "[models.m]\nprovider = 'groq'\nmodel = 'x'\nfallback = ['m']": "4: models.m.fallback[1] is "
    "the model itself; name another",
    "[models.m]\nprovider = 'groq'\nfallback = ['vllm']": "3: models.m.fallback[1] is "
    '"vllm", which is no model here',
    "[providers.a]\nbase_ulr = 'http://x'": "2: unknown key base_ulr in [providers.a]; did you "
    'mean "base_url"?',
    "[providers.a]\nmax_tools = '3'": "2: providers.a.max_tools must be a whole number, not "
    'text "3"',
    "[providers.a]\nmax_tools = -1": "2: providers.a.max_tools should be greater than or equal",
    "[providers.a]\nbase_url = 'example.com'": "2: providers.a.base_url must start with http:// or",
    "[providers.a]\nbase_url = 'http://${env:X}'": "2: providers.a.base_url must not hold a "
    "reference; {NAME} in it is an environment variable",
    "[providers.a]\napi_key = 'sk-1234'": "2: providers.a.api_key must be one reference and "
    "nothing else",
    "[providers.a]\napi_key = '${vault:x}'": "2: providers.a.api_key holds a reference of an unk",
    "[providers.a]\nauth = 'beerer'": '2: providers.a.auth must be "bearer", "x-api-key", "api-key"'
    ', "aws", "google" or "none", not text "beerer"; did you mean "bearer"?',
    "[providers.a]\nkey_variable = 'A=B'": "2: providers.a.key_variable is not the name of an",
    "[providers.a]\npath = 'chat'": "2: providers.a.path must start with /, as in /chat",
    "[providers.a]\nadapter = 'opnai-chat'": '2: providers.a.adapter is "opnai-chat", which is no '
    'adapter; did you mean "openai-chat"?',
    "[providers.a]\nheaders = { A = '${env:X}' }": "2: providers.a.headers.A must not hold a "
    "reference; put that header into a [models.x] table",
    "[providers.a.adapters.anthropic]\nimage = true": "2: unknown key image in "
    '[providers.a.adapters.anthropic]; did you mean "images"?',
    "[[providers.a.models]]\nimages = true": '1: [providers.a.models[1]] needs the key "match"',
    "[[providers.a.models]]\nmatch = ['x']\nimage = true": "3: unknown key image in "
    '[providers.a.models[1]]; did you mean "images"?',
    "providers = 3": "1: providers must be a table, not 3",
    "providers.a = 3": "1: providers.a must be a table, not 3",
    "[models.m]\nadapter = 'script'": '1: models.m needs the key "path"',
    f"{M}api_key = 12345678": "4: models.m.api_key must be text in quotes, not a number",
    f"{S}env = {{ 'A=B' = 'x' }}": '3: servers.a.env."A=B" is not the name of an environment',
    f'{S}env = {{ A = "\\u0000" }}': "3: servers.a.env.A must not hold a NUL character",
    "[servers.a]\nurl = 'https://x.example'\nheaders = { 'A B' = 'x' }": "3: servers.a.headers."
    '"A B" is not the name of an HTTP header',
    "[servers.a]\nurl = 'https://x.example'\nheaders = { A = \"x\\ny\" }": "3: servers.a.headers.A "
    "must be one line",
    f"{S}protocol = 'new'": '3: servers.a.protocol must be "auto", "legacy" or a protocol version',
    # not TOML
    "model = ": "1:9: invalid TOML: invalid value",
    'model = "a"\n[servers.a\n': "2:11: invalid TOML: ",
    'model = "a"\nmodel = "b"': "2:12: invalid TOML: cannot overwrite a value",
    'model = """a\n': "1:13: invalid TOML: unterminated string, at the end of the file",
    'model = "a"\nb = "\x07"': "2:6: invalid TOML: illegal character '\\x07'",
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: repr(text)[-40:])
def test_a_wrong_file_is_one_line_with_the_place_and_what_to_do(text: str, tmp_path: Path):
    (tmp_path / "servers.toml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load(None, {}, cwd=tmp_path)
    message = str(error.value)
    assert message.startswith(f"servers.toml:{BAD[text]}")
    assert "\n" not in message
    assert error.value.exit_status == 2


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet="[]{}=.,\"'\\n#ab1 ").map(str.encode))
def test_whatever_stands_in_the_file_the_answer_is_a_config_or_one_line(content: bytes):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "servers.toml").write_bytes(content)
        said = ""
        try:
            load(None, {}, cwd=Path(folder))
        except ConfigError as error:
            said = str(error)
        assert said == clean(said)
        assert "\n" not in said


def test_several_problems_name_the_first_by_line_and_count_the_rest(tmp_path: Path):
    (tmp_path / "servers.toml").write_text(f"{S}timeout = 'x'\nwhat = 1\n[limits]\nmax_turns = 0\n")
    with pytest.raises(ConfigError, match=r"^servers.toml:3: .* \(and 2 more\)$"):
        load(None, {}, cwd=tmp_path)


def test_no_value_that_may_be_a_secret_is_quoted(tmp_path: Path):
    (tmp_path / "servers.toml").write_text(
        f"{S}[models.m]\nadapter = 'openai-chat'\nmodel = 'x'\napi_key = ['hunter2']\n"
    )
    with pytest.raises(ConfigError) as error:
        load(None, {}, cwd=tmp_path)
    assert "hunter2" not in str(error.value)


def test_a_hostile_key_is_shown_escaped(tmp_path: Path):
    (tmp_path / "servers.toml").write_text('"\\u001b[2Jx" = 1\n"\\u202e" = 2')
    with pytest.raises(ConfigError) as error:
        load(None, {}, cwd=tmp_path)
    assert "\x1b" not in str(error.value)
    assert "\u202e" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = 1\nb = \xff\n", "servers.toml:2: is not UTF-8 text; save it as UTF-8"),
        (b"a = 1\n" * 200_000, "servers.toml: is larger than 1048576 bytes; is it a config?"),
        (b"a = " + b"[" * 5000, "servers.toml: is nested too deeply; is it a config?"),
        (b"\x7fELF\x02\x01\x01", "servers.toml:1:1: invalid TOML: invalid statement"),
    ],
    ids=["not UTF-8", "too large", "too deep", "binary"],
)
def test_what_is_no_config_at_all_is_said_so(content: bytes, message: str, tmp_path: Path):
    (tmp_path / "servers.toml").write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load(None, {}, cwd=tmp_path)
    assert str(error.value).startswith(message)


def test_a_folder_is_not_a_file(tmp_path: Path):
    (tmp_path / "servers.toml").mkdir()
    with pytest.raises(ConfigError, match=r"servers.toml: is a folder; name a file"):
        load(None, {}, cwd=tmp_path)


def test_a_link_to_nowhere_is_said_so(tmp_path: Path):
    (tmp_path / "servers.toml").symlink_to("gone")
    with pytest.raises(ConfigError, match=r"servers.toml: cannot be read \(No such file"):
        load(None, {}, cwd=tmp_path)
