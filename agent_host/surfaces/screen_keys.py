"""The keys of the chat's screen, beside those of every line (emacs or vi).

Theory of operation: one table of keys, each bound to what the screen does (`screen.ChatScreen`).
Esc alone is told from a key that begins with it by a pause. In vi mode Esc belongs to the line
first; it means more only where it would do nothing there.
"""

from typing import Protocol

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import (
    Condition,
    has_completions,
    has_selection,
    is_searching,
    vi_insert_mode,
    vi_navigation_mode,
)
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

Event = KeyPressEvent


class Screen(Protocol):
    """What keys can do (see `screen.ChatScreen`)."""

    buffer: Buffer
    editing: bool

    @property
    def busy(self) -> bool:
        """Whether something is under way that can be interrupted."""

    @property
    def queued(self) -> bool:
        """Whether something waits that can be taken back."""

    def send(self) -> None:
        """Send the line."""

    def clear(self) -> None:
        """Empty the line."""

    def paste(self, text: str) -> None:
        """Put a paste at the cursor."""

    def paste_picture(self) -> None:
        """Put the clipboard's picture at the cursor."""

    def take_back(self) -> None:
        """Put what was queued last into the line again."""

    def stop(self, *, leave: bool = False) -> None:
        """Interrupt what is under way."""

    def abort(self) -> None:
        """Ctrl-C in an empty line."""

    def end(self) -> None:
        """The end of input."""

    def edit_last(self) -> None:
        """Put the last message into the line, to be said in its place."""

    def open_editor(self) -> None:
        """Write the message in the user's own editor."""


def screen_keys(screen: Screen) -> KeyBindings:
    """Return the keys."""
    keys = KeyBindings()
    _of_lines(keys, screen)
    _of_chat(keys, screen)
    return keys


def _of_lines(keys: KeyBindings, screen: Screen) -> None:
    """Sending, lines, pastes and the editor."""
    writing = ~is_searching

    @keys.add("enter", filter=writing)
    def _send(_: Event) -> None:
        if screen.buffer.document.current_line_before_cursor.endswith("\\"):
            screen.buffer.delete_before_cursor()
            screen.buffer.insert_text("\n")
        else:
            screen.send()

    @keys.add("escape", "enter", filter=writing)
    @keys.add("c-j", filter=writing)
    def _new_line(_: Event) -> None:
        screen.buffer.insert_text("\n")

    @keys.add(Keys.BracketedPaste, filter=writing)
    def _paste(event: Event) -> None:
        screen.paste(event.data)

    @keys.add("c-v", filter=writing & ~vi_navigation_mode)
    def _picture(_: Event) -> None:
        screen.paste_picture()

    @keys.add("c-x", "c-e", filter=writing)
    @keys.add("c-g", filter=writing & ~has_selection)
    @keys.add("v", filter=vi_navigation_mode)
    def _editor(_: Event) -> None:
        screen.open_editor()


def _of_chat(keys: KeyBindings, screen: Screen) -> None:
    """Interrupting, taking back, leaving."""
    writing = ~is_searching
    empty = Condition(lambda: not screen.buffer.text)
    queued = Condition(lambda: screen.queued)

    alone = writing & ~vi_insert_mode
    keys.add("c-c", filter=writing)(lambda _: _stop(screen))
    keys.add("escape", filter=alone)(lambda _: _escape(screen))
    keys.add("escape", "escape", filter=alone)(lambda _: _twice(screen))
    keys.add("up", filter=writing & empty & queued & ~has_completions)(lambda _: screen.take_back())
    keys.add("c-d", filter=writing & empty)(lambda _: screen.end())
    keys.add("c-z", filter=writing)(lambda event: event.app.suspend_to_background())


def _stop(screen: Screen) -> None:
    if screen.busy:
        screen.stop(leave=True)
    elif screen.buffer.text or screen.editing:
        screen.clear()
    else:
        screen.abort()


def _escape(screen: Screen) -> None:
    """What is open closes; else what waits comes back; else what is under way stops."""
    if screen.buffer.complete_state:
        screen.buffer.cancel_completion()
    elif screen.queued:
        screen.take_back()
    elif screen.busy:
        screen.stop()
    elif screen.editing:
        screen.clear()


def _twice(screen: Screen) -> None:
    if screen.buffer.text or screen.busy or screen.queued or screen.editing:
        _escape(screen)
    else:
        screen.edit_last()
