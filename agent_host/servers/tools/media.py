"""Pictures, sounds and files as servers send them: base64, and what it is called.

Theory of operation: a provider refuses a whole request for a picture that is not what it is called,
so the first bytes decide where they are known, and the server's word where they are not. Base64
comes with line breaks, without padding, as `data:` URLs; all of that is put right, what is no
base64 is None. Sources: RFC 4648, RFC 2397; signatures as in the WHATWG MIME Sniffing Standard.
"""

import base64
import binascii
import re
from typing import Any

_DATA_URL = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_BLANKS = re.compile(r"\s+")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,60}")
_USUAL = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
_HEAD = 32
"""Characters of base64 that hold every signature."""


def base64_of(value: Any) -> str | None:
    """Return base64 as RFC 4648, section 4 has it, of at least one byte, or None."""
    if not isinstance(value, str) or not value:
        return None
    if value[:5].lower() == "data:" and (prefix := _DATA_URL.match(value)):
        value = value[prefix.end() :]
    if not _is_base64(value):
        value = _BLANKS.sub("", value).translate({45: 43, 95: 47})  # the URL-safe alphabet
        value += "=" * (-len(value) % 4)
        if not _is_base64(value):
            return None
    return value or None


def media_type_of(said: Any, data: str | None) -> str:
    """Return the media type: by the first bytes if they are known, else as the server says, in
    lower case and without parameters; empty if that is none."""
    return (_signature(data) if data else "") or (_usual(said) if isinstance(said, str) else "")


def _usual(said: str) -> str:
    plain = said[:200].partition(";")[0].strip().lower()
    return _USUAL.get(plain, plain) if _MEDIA_TYPE.fullmatch(plain) else ""


def _signature(data: str) -> str:
    try:
        head = base64.b64decode(data[:_HEAD])
    except ValueError:
        return ""
    for signature, media_type in (
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"%PDF-", "application/pdf"),
    ):
        if head.startswith(signature):
            return media_type
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12], "")
    return ""


def _is_base64(text: str) -> bool:
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return False
    return True
