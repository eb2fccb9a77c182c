import pytest

from agent_host.surfaces.address import Address, address
from tests.fakes.screens import FORBIDDEN, HOSTILE


def plain(url: str) -> Address:
    found = address(url)
    assert isinstance(found, Address), found
    return found


def test_an_ordinary_url_stays_as_it_is_without_a_warning() -> None:
    url = "https://login.example.com:8443/a/b;c?x=1&y=%20z#top"
    found = plain(url)
    assert found == Address(url=url, host="login.example.com:8443", warnings=())


def test_a_host_in_other_letters_is_shown_and_opened_in_ascii() -> None:
    found = plain("https://аpple.com/überweisung?q=ü")
    assert found.host == "xn--pple-43d.com"
    assert found.url == "https://xn--pple-43d.com/%C3%BCberweisung?q=%C3%BC"
    assert "other letters: аpple.com" in found.warnings[0]
    assert plain("https://faß.example/").host == "xn--fa-hia.example"


def test_a_host_that_was_sent_in_ascii_form_is_told_in_its_letters() -> None:
    assert "stands for other letters: аpple.com" in plain("https://xn--pple-43d.com/").warnings[0]


@pytest.mark.parametrize(
    ("url", "host", "warning"),
    [
        ("http://a.example/", "a.example", "not encrypted"),
        ("https://good.example@evil.example/", "evil.example", "it goes to evil.example"),
        ("https://u:p@evil.example/", "evil.example", "before the @ is no part of the host"),
        ("https://10.0.0.1/", "10.0.0.1", "a number, not a name"),
        ("https://2130706433/", "2130706433", "a number, not a name"),
        ("https://0x7f.1/", "0x7f.1", "a number, not a name"),
        ("https://[::1]:8443/x", "[::1]:8443", "a number, not a name"),
        ("https://EXAMPLE.com/", "example.com", ""),
    ],
)
def test_what_may_deceive_is_said(url: str, host: str, warning: str) -> None:
    found = plain(url)
    assert found.host == host
    assert any(warning in text for text in found.warnings) or not warning


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "ftp://a.example/",
        "ssh://a.example/",
        "//a.example/",
        "https://",
        "https:///path",
        "https://a.example:99999/",
        "https://[::1/",
        "https://good.example\\@evil.example/",
        "https://a.example/ b",
        "https://a.example/\n",
        "https://a.example/\u2028",
        "https://a.example/\x07",
        "https://a.example/<x>",
        "https://a b.example/",
        "https://..xn--.\u0301/",
        "https://ex%61mple.com/",
        "-https://a.example/",
        "",
    ],
)
def test_what_programs_read_differently_or_no_browser_should_open_is_refused(url: str) -> None:
    assert isinstance(address(url), str)


def test_a_url_of_any_length_is_kept_whole() -> None:
    url = f"https://a.example/{'x' * 16_000}?end"
    assert plain(url).url == url


def test_no_hostile_text_gets_into_an_address() -> None:
    for text in HOSTILE:
        for url in (f"https://a.example/{text}", f"https://{text}/", text):
            found = address(url)
            said = found if isinstance(found, str) else f"{found.url}{''.join(found.warnings)}"
            assert not set(FORBIDDEN) & set(said)
            assert isinstance(found, str) or found.url.isascii()
