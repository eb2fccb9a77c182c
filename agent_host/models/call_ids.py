"""Ids and names of calls as each provider takes them: mapped for a request, never in the record."""

import hashlib
import re

from agent_host.profiles.profile import CallIds

_NOT_IN_AN_ID = re.compile(r"[^\x21-\x7e]")
_NOT_IN_A_PLAIN_ID = re.compile(r"[^A-Za-z0-9_-]")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def wire_id(call_id: str, kind: CallIds) -> str:
    """Return the id that a provider takes: its own where possible, always the same for one id.

    `kind`: see `Profile.call_ids`. Mistral: exactly nine letters and digits.
    """
    if kind == "mistral":
        if len(call_id) == 9 and call_id.isascii() and call_id.isalnum():
            return call_id
        number = int.from_bytes(_digest(call_id))
        return "".join(_BASE62[number // 62**place % 62] for place in range(9))
    longest = 40 if kind == "short" else 128
    if call_id and len(call_id) <= longest and not _NOT_IN_AN_ID.search(call_id):
        return call_id
    return "call_" + _digest(call_id).hex()[:32]


def plain_id(call_id: str) -> str:
    """Return an id of letters, digits, `_` and `-` (the Messages wire takes nothing else)."""
    if call_id and len(call_id) <= 128 and not _NOT_IN_A_PLAIN_ID.search(call_id):
        return call_id
    return "call_" + _digest(call_id).hex()[:32]


def wire_name(name: str, *, letter_first: bool = False) -> str:
    """Return the name of a called tool where the history must be legal, whatever was called.
    `letter_first`: names begin with a letter or `_` (Gemini)."""
    legal = _NOT_IN_A_NAME.sub("_", name) or "unnamed"
    if letter_first and not (legal[0].isalpha() or legal[0] == "_"):
        legal = f"_{legal}"
    return legal[:64]


def _digest(call_id: str) -> bytes:
    return hashlib.sha256(call_id.encode("utf-8", "replace")).digest()
