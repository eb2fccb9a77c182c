import pytest

from agent_host.surfaces.signals import Signals, State


class Desk:
    """A terminal that keeps what it was told, and a clock that is set by hand."""

    def __init__(self, *, tty: bool = True, folder: str = "/home/a/shop", **options: bool) -> None:
        self.told: list[str] = []
        self.now = 0.0
        environ = {"TERM": "xterm-256color"} | {
            name: str(options.pop(name)) for name in tuple(options) if name.isupper()
        }
        self._environ = environ
        self._make = (tty, folder, options)

    def signals(self, **environ: str) -> Signals:
        tty, folder, options = self._make
        return Signals(
            self.told.append,
            {**self._environ, **environ},
            now=lambda: self.now,
            folder=folder,
            tty=tty,
            **options,
        )

    @property
    def text(self) -> str:
        return "".join(self.told)


def work(desk: Desk, signals: Signals, seconds: float, then: State = "waiting") -> None:
    signals.set("working")
    desk.now += seconds
    signals.set(then)


def test_the_title_says_the_folder_and_whose_turn_it_is_and_is_given_back() -> None:
    desk = Desk()
    signals = desk.signals()
    signals.open()
    work(desk, signals, 1)
    signals.close()
    signals.close()
    assert desk.text == (
        "\x1b[22;2t"
        "\x1b]2;agent-host: shop - waiting for you\a"
        "\x1b]2;agent-host: shop - working\a"
        "\x1b]2;agent-host: shop - waiting for you\a"
        "\x1b]2;\a\x1b[23;2t"
    )


def test_a_folder_cannot_say_anything_to_the_terminal() -> None:
    desk = Desk(folder="/tmp/a\x1b]52;c;AA\x07\u202e" + "x" * 300)
    desk.signals().open()
    title = desk.text.removeprefix("\x1b[22;2t\x1b]2;").removesuffix("\a")
    assert "\x1b" not in title
    assert "\a" not in title
    assert len(title) < 100


def test_the_bell_rings_after_long_work_and_not_after_short() -> None:
    desk = Desk(title=False)
    signals = desk.signals()
    signals.open()
    work(desk, signals, 3)
    assert desk.told == []
    work(desk, signals, 30)
    assert desk.told == ["\a"]
    signals.set("waiting")
    assert desk.told == ["\a"]


def test_a_question_rings_at_once_and_the_work_after_it_is_counted_anew() -> None:
    desk = Desk(title=False)
    signals = desk.signals()
    work(desk, signals, 9, "asking")
    assert desk.told == ["\a"]
    work(desk, signals, 9)
    assert desk.told == ["\a"]
    signals.set("working")
    desk.now += 60
    signals.set("waiting", quiet=True)
    assert desk.told == ["\a"]


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"TERM_PROGRAM": "WezTerm"}, "\x1b]9;agent-host: asks you\a"),
        ({"TERM": "xterm-kitty"}, "\x1b]9;agent-host: asks you\a"),
        ({"TERM": "foot-extra"}, "\x1b]777;notify;agent-host;agent-host: asks you\a"),
        ({"TERM_PROGRAM": "WezTerm", "TMUX": "/tmp/x"}, "\a"),
        ({}, "\a"),
    ],
)
def test_a_notification_where_the_terminal_is_known_to_have_one(
    environ: dict[str, str], told: str
) -> None:
    desk = Desk(title=False, notify=True)
    desk.signals(**environ).set("asking")
    assert desk.told == [told]


@pytest.mark.parametrize("term", ["", "dumb", "unknown"])
def test_a_terminal_that_can_nothing_is_told_nothing(term: str) -> None:
    desk = Desk(notify=True)
    signals = desk.signals(TERM=term)
    signals.open()
    work(desk, signals, 99, "asking")
    signals.close()
    assert desk.told == []


def test_a_pipe_is_told_nothing_and_the_console_gets_no_title() -> None:
    desk = Desk(tty=False)
    signals = desk.signals()
    signals.open()
    signals.set("asking")
    signals.close()
    assert desk.told == []
    console = Desk()
    console.signals(TERM="linux").open()
    assert console.told == []


def test_what_is_not_wanted_is_not_done() -> None:
    desk = Desk(bell=False, title=False)
    signals = desk.signals()
    signals.open()
    work(desk, signals, 99, "asking")
    signals.close()
    assert desk.told == []
