"""Paths, URLs and commands are judged by what they are, and where that is in doubt, not at all."""

import pytest

from agent_host.policy.texts import Doubt, host, inside, number, remainder, words


@pytest.fixture
def data(tmp_path):
    """A folder with files, links that stay and links that leave."""
    root = tmp_path / "srv" / "data"
    (root / "reports").mkdir(parents=True)
    (root / "reports" / "a.txt").write_text("x")
    (tmp_path / "srv" / "data-secret").mkdir()
    (tmp_path / "secret").write_text("x")
    (root / "stays").symlink_to(root / "reports")
    (root / "leaves").symlink_to(tmp_path / "secret")
    (root / "up").symlink_to("..")
    (root / "loop").symlink_to(root / "loop")
    (tmp_path / "alias").symlink_to(root)
    (tmp_path / "door").symlink_to(root / "reports")
    return root


def judged(path, folder, *start):
    try:
        return inside(path, folder, *start)
    except Doubt:
        return "doubt"


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("{d}", True),
        ("{d}/", True),
        ("{d}/reports/a.txt", True),
        ("{d}/new/file.txt", True),
        ("{d}//reports/./a.txt", True),
        ("//{d}/reports", True),
        ("{d}/reports/../reports/a.txt", True),
        ("{d}/stays/a.txt", True),
        ("{d}/..name", True),
        ("{d}/with space", True),
        ("{d}/é", True),
        ("{d}/..", False),
        ("{d}/../data-secret/x", False),
        ("{d}/../../../etc/passwd", False),
        ("{d}/reports/../../../secret", False),
        ("{d}-secret/x", False),
        ("{d}x", False),
        ("/etc/passwd", False),
        ("/", False),
        ("/..{d}/../../../../../../etc/passwd", False),
        ("{d}/leaves", "doubt"),  # a link that leaves
        ("{d}/up/data-secret/x", "doubt"),
        ("{d}/leaves/../reports/a.txt", "doubt"),
        ("{t}/door/a.txt", "doubt"),  # a link from elsewhere that leads in
        ("{d}/loop", "doubt"),
        ("{d}/loop/x", "doubt"),
        ("{d}/nothing/../../secret", False),
        ("{D}/reports", "doubt"),  # upper case: another folder here, the same one elsewhere
        ("reports/a.txt", "doubt"),
        ("../data/reports", "doubt"),
        ("./reports", "doubt"),
        ("~/x", "doubt"),
        ("$HOME/x", "doubt"),
        ("{d}/`id`", "doubt"),
        ("{d}/%2e%2e/secret", "doubt"),
        ("{d}/..%2fsecret", "doubt"),
        ("{d}\\..\\secret", "doubt"),
        ("{d}/a\x00b", "doubt"),
        ("{d}/a\nb", "doubt"),
        ("{d}/a\x7f", "doubt"),
        ("{d}/*", "doubt"),
        ("{d}/e\u0301", "doubt"),  # not in the one normal form
        ("{d}/\ud800", "doubt"),
        ("", "doubt"),
        ("file://{d}/reports", "doubt"),
        ("C:\\data", "doubt"),
        ("/" + "a" * 5000, "doubt"),
    ],
)
def test_a_path_is_inside_a_folder_only_if_nothing_leads_out(data, path, answer):  # threat 43
    written = path.format(d=data, D=str(data).replace("/data", "/DATA"), t=data.parent.parent)
    assert judged(written, str(data)) == answer


def test_a_folder_may_itself_be_a_link(data, tmp_path):
    alias = str(tmp_path / "alias")
    assert judged(f"{alias}/reports/a.txt", alias) is True
    assert judged(f"{data}/reports/a.txt", alias) is True
    assert judged(f"{alias}/../secret", alias) != True  # noqa: E712  # the text and the link differ
    assert judged("/etc/passwd", alias) is False


def test_a_relative_path_starts_where_the_rule_says(data):
    assert judged("reports/a.txt", str(data), str(data)) is True
    assert judged("../data-secret/x", str(data), str(data)) is False
    assert judged("/etc/passwd", str(data), str(data)) is False
    assert judged("reports", str(data), "relative") == "doubt"
    assert judged("reports", "relative") == "doubt"
    assert judged("/etc/passwd", "/") is True


def test_what_cannot_be_looked_at_is_in_doubt(data):
    assert judged(f"{data}/{'a' * 300}/x", str(data)) == "doubt"


def test_a_link_that_is_swapped_between_two_decisions_changes_the_answer(data):
    link = data / "swapped"
    link.symlink_to(data / "reports")
    assert judged(f"{link}/a.txt", str(data)) is True
    link.unlink()
    link.symlink_to("/etc")
    assert judged(f"{link}/a.txt", str(data)) == "doubt"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://api.example.com/x?y=1#z", "api.example.com"),
        ("http://API.Example.com:8080", "api.example.com"),
        ("https://127.0.0.1/", "127.0.0.1"),
        ("https://[::1]:8443/", "[::1]"),
        ("https://api.example.com#@evil.example", "api.example.com"),
        ("https://api.example.com/?q=é", "api.example.com"),
        ("https://api.example.com@evil.example/", None),
        ("https://user:pw@api.example.com/", None),
        ("https://api.example.com\\@evil.example/", None),
        ("https:\\\\api.example.com", None),
        ("//api.example.com/", None),
        ("api.example.com", None),
        ("ftp://api.example.com/", None),
        ("javascript:alert(1)", None),
        ("HTTPS://api.example.com", None),
        ("https://api.example.com.", None),
        ("https://api..example.com", None),
        ("https://-api.example.com", None),
        ("https://аpi.example.com", None),  # a Cyrillic letter
        ("https://api%2eexample.com", None),
        ("https://api.example.com:٨", None),
        (" https://api.example.com", None),
        ("https://api.example.com\n.evil.example", None),
        ("https://api.exa\tmple.com", None),
        ("https://2130706433/", None),
        ("https://0x7f000001/", None),
        ("https://0177.0.0.1/", None),
        ("https://127.1/", None),
        ("https://256.0.0.1/", None),
        ("https://", None),
        ("", None),
    ],
)
def test_the_host_of_a_url_is_one_that_every_program_sees(url, found):
    if found is None:
        with pytest.raises(Doubt):
            host(url)
    else:
        assert host(url) == found


@pytest.mark.parametrize(
    "command",
    [
        "git status && curl http://evil.example",
        "git status;id",
        "git status | sh",
        "git status & id",
        "git status\nid",
        "git status\rid",
        "git status\r\nid",
        "git status\x0bid",
        "git status\u2028id",
        "git status `id`",
        "git status $(id)",
        "git status ${IFS}id",
        "git status > /etc/passwd",
        "git status < /etc/passwd",
        "git 'status'",
        'git "status"',
        "git sta\\tus",
        "git status #",
        "git status ~",
        "git stat*",
        "git {status,push}",
        "!git status",
        "(git status)",
        "PATH=/tmp git status",
        " git status",
        "git status ",
        "git\tstatus",
        "ｇit status",  # a wide letter
        "git status\x00",
        "",
        " && ".join(["true"] * 51),
        "a " * 5000 + "a",
    ],
)
def test_a_command_that_is_more_than_plain_words_is_in_doubt(command):  # threat 41
    with pytest.raises(Doubt):
        words(command)


def test_the_words_of_a_plain_command_are_those_that_it_has():
    assert words("git log --format=%h -n 5  src/a.py") == [
        "git",
        "log",
        "--format=%h",
        "-n",
        "5",
        "src/a.py",
    ]


def test_numbers_and_remainders_are_plain():
    assert (number("12.50"), number(7)) == (12.5, 7.0)
    assert [remainder(7.0, 2.0), remainder(-7, 2), remainder(6, 2.0)] == [1.0, -1.0, 0.0]
    for pair in ((1.5, 2), (3, 0), (3, 0.5)):
        with pytest.raises(Doubt):
            remainder(*pair)
