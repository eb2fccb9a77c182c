"""What secrets look like: tokens by their beginning, values by the name that stands before them.

Theory of operation: nearly every provider begins its tokens with letters of its own, so a token is
found by searching for these exact letters, which costs microseconds, and only then by an
expression that is tried there alone. What has no such beginning (passwords, older keys) is known
by what stands before it: `password = `, `"api_key": `, `Authorization: Bearer `, or a URL with a
user and a password. There most texts hold no secret but talk of one, so a value counts only if it
cannot be a word, a name, a path, a number or a placeholder (`worded`, `told`). Each expression here
takes time in proportion to what it reads, whatever that is.
"""

import base64
import functools
import re
from collections.abc import Iterable, Iterator

from agent_host.records.linear import late

Span = tuple[int, int, str]
"""Where a secret stands in a text (start, end), and its kind."""

LONGEST = 4096
"""Characters of the longest token; a longer run is data, not a key."""

_WORD = "[A-Za-z0-9_-]"
_OWN = (
    # kind, beginnings, what follows them
    ("github-token", ("github_pat_",), _WORD + "{22,}"),
    ("npm-token", ("npm_",), "[A-Za-z0-9]{36,}"),
    ("api-key", ("sk-",), r"(?:[a-z0-9]{1,12}-){0,3}[A-Za-z0-9_-]{20,}"),
    ("stripe-key", ("sk_live_", "rk_live_", "sk_test_", "rk_test_"), "[A-Za-z0-9]{16,}"),
    ("webhook-secret", ("whsec_",), "[A-Za-z0-9+/]{24,}"),
    ("slack-token", ("xapp-", "xoxe.", "xoxe-", "xoxc-", "xoxd-"), r"[A-Za-z0-9.%_-]{16,}"),
    ("google-key", ("AIza",), _WORD + "{35}"),
    ("google-token", ("ya29.",), r"[A-Za-z0-9._-]{20,}"),
    ("google-secret", ("GOCSPX-",), _WORD + "{20,}"),
    ("huggingface-token", ("hf_",), "[A-Za-z0-9]{30,}"),
    ("digitalocean-token", ("dop_v1_", "doo_v1_", "dor_v1_"), "[a-f0-9]{40,}"),
    ("shopify-token", ("shpat_", "shpss_", "shpca_", "shppa_"), "[a-fA-F0-9]{32}"),
    ("vault-token", ("hvs.", "hvb.", "hvr."), _WORD + "{20,}"),
    ("docker-token", ("dckr_pat_", "dckr_oat_"), _WORD + "{20,}"),
    ("linear-key", ("lin_api_", "lin_oauth_"), "[A-Za-z0-9]{32,}"),
    ("figma-token", ("figd_",), _WORD + "{32,}"),
    ("age-key", ("AGE-SECRET-KEY-1",), "[A-Z0-9]{50,}"),
    ("databricks-token", ("dapi",), "[a-f0-9]{32}"),
    ("newrelic-key", ("NRAK-",), "[A-Z0-9]{20,}"),
    ("postman-key", ("PMAK-",), "[A-Za-z0-9-]{40,}"),
    ("atlassian-token", ("ATATT3", "ATCTT3"), r"[A-Za-z0-9_=+/-]{40,}"),
    ("sentry-token", ("sntrys_", "sntryu_"), r"[A-Za-z0-9_=+/-]{32,}"),
    ("square-token", ("sq0atp-",), _WORD + "{22}"),
    ("pulumi-token", ("pul-",), "[a-f0-9]{40}"),
    ("rubygems-key", ("rubygems_",), "[a-f0-9]{40,}"),
    ("planetscale-token", ("pscale_tkn_", "pscale_pw_", "pscale_oauth_"), r"[A-Za-z0-9._-]{20,}"),
    ("api-key", ("pplx-", "gsk_", "xai-", "sbp_", "ntn_", "fc-", "tvly-"), "[A-Za-z0-9]{32,}"),
    ("replicate-token", ("r8_",), "[A-Za-z0-9]{36,}"),
    ("tailscale-key", ("tskey-",), r"[a-z]+-[A-Za-z0-9]+-[A-Za-z0-9]{16,}"),
    ("grafana-token", ("glsa_", "glc_"), r"[A-Za-z0-9_+/=]{32,}"),
    ("doppler-token", ("dp.pt.", "dp.st.", "dp.ct."), r"[A-Za-z0-9._-]{32,}"),
    ("mailgun-key", ("key-",), "[a-f0-9]{32}"),
    ("terraform-token", (".atlasv1.",), r"[A-Za-z0-9_=-]{40,}"),
    ("jwt", ("eyJ",), rf"{_WORD}{{12,}}\.{_WORD}{{12,}}(?:\.{_WORD}{{0,}}){{0,3}}"),
)
_AFTER = (
    # kind, what stands before, the secret
    ("azure-key", "AccountKey=", r"[A-Za-z0-9+/%]{40,}={0,2}"),
    ("azure-key", "SharedAccessKey=", r"[A-Za-z0-9+/%]{20,}={0,2}"),
    ("signature", "SharedAccessSignature=", r"[^\s\"'<>;]{20,}"),
    ("signature", "sig=", r"[A-Za-z0-9%+/_=-]{20,}"),
    ("signature", "X-Amz-Signature=", "[0-9a-f]{64}"),
    ("aws-token", "X-Amz-Security-Token=", r"[A-Za-z0-9%+/=]{40,}"),
    ("signature", "X-Goog-Signature=", "[0-9a-f]{64,}"),
    ("npm-token", ":_authToken=", r"[A-Za-z0-9_=+/-]{20,}"),
    ("webhook", "discord.com/api/webhooks/", _WORD + r"+/[A-Za-z0-9_-]{40,}"),
)

TOKENS: dict[str, tuple[str, str, int]] = {
    begin: (kind, re.escape(begin) + rest, 0) for kind, begins, rest in _OWN for begin in begins
} | {begin: (kind, re.escape(begin) + rest, len(begin)) for kind, begin, rest in _AFTER}
"""By what they begin with: kind, expression, and how much of the match is not the secret."""

_WEAK = frozenset({"sk-", "fc-", "key-", "ntn_", "xai-", "pul-", "sig="})
"""Beginnings that ordinary words have, too."""

_compiled = functools.cache(re.compile)

_RUN = late(r"[A-Za-z0-9_-]*")
_FRESH = late(r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrtbf])|(?<=%[0-9A-Fa-f]{2})|(?<=\\u[0-9a-f]{4}))")


def fresh(text: str, place: int) -> bool:
    """Whether a token may begin there: after no letter, or after an escape as `%20`."""
    return place == 0 or _FRESH().match(text, place) is not None


def token_at(text: str, place: int, begin: str) -> tuple[Span | None, int]:
    """Return the token that begins at `place` with the letters `begin`, to the end of its run, and
    from where to go on."""
    kind, pattern, skip = TOKENS[begin]
    after = place + len(begin)
    if not skip and begin[0] != "." and not fresh(text, place):
        return None, after
    found = _compiled(pattern).match(text, place, place + LONGEST)
    if found is None:
        return None, after
    span = checked(text, place + skip, found.end(), kind, sure=begin not in _WEAK)
    return span, max(found.end(), span[1] if span else 0)


def checked(text: str, start: int, end: int, kind: str, *, sure: bool) -> Span | None:
    """Return a token with all that is written on to it, unless it is an example or data. `sure`:
    its form alone tells that it is none of these."""
    more = _RUN().match(text, end, start + LONGEST + 1)
    end = more.end() if more else end
    value = text[start:end]
    if end - start > LONGEST or _EXAMPLE().search(value):
        return None
    if not sure and (not _DIGIT().search(value) or worded(value)):
        return None
    return start, end, kind


# -- values by their names --------------------------------------------------------------------

KEYWORDS = ("pass", "pwd", "secret", "token", "key", "credential")
"""One of these is in every name that makes a value a secret, in lower case."""

_NAMED = late(
    r"(?:(?P<strong>passw(?:or)?d|passwd|passphrase|pwd|(?<![a-z])pass)"
    r"|secret(?:[_-]?(?:access[_-]?)?key)?|token|credentials?"
    r"|(?:api|access|account|auth|private|signing|encryption|master|license)[_-]?key)"
    r"(?P<more>[_-]?\d{0,2}[\"'`\])\\]{0,4})",
    re.IGNORECASE,
)
NAME_SIEVE = (
    r"(?i:passw(?:or)?d|passphrase|pwd|pass|secret(?:[_-]?(?:access[_-]?)?key)?|token|credentials?"
    r"|(?:api|access|account|auth|private|signing|encryption|master|license)[_-]?key)"
    r"[_-]?[0-9]{0,2}[\"'`\])\\]{0,4}(?:(?:[ \t]|\\t){0,8}(?::=|=>|=|:)|>)"
    r"|--?(?i:[a-z-]*(?:pass|pwd|secret|token|key|credential))"
)
"""Linear: in every text where `named` finds something, also in its JSON form."""
_SETS = late(r"[ \t]{0,8}(?::=|=>|={1,3}|:)(?:[ \t]|\\t){0,8}|(?P<xml>>)|(?P<blank>[ \t])")
_QUOTE = late(r"[brfu]?(?P<q>\\{0,3}[\"'`])", re.IGNORECASE)
_BARE = late(r"(?:[^\s,;&\"'`<>(){}\[\]|\\]|&(?![A-Za-z_][\w.%-]*=)(?!\w+;)){6,400}")
_PAGING = late(
    r"(?:next|prev|previous|page|paging|pagination|continuation|continue|progress|cursor|sync"
    r"|resume|start|end|max|min|num|count|total|input|output|eos|bos|pad|unk|stop|special|cancel"
    r"|cancellation|design|csrf|publickey|client|change|purchase|request|idempotency)[_-]?(?:page[_-]?)?\Z",
    re.IGNORECASE,
)
_OPTION = late(r"(?:^|[\s\"'=(])--?[a-z-]*\Z", re.IGNORECASE)
_DIGIT = late("[0-9]")
_EXAMPLE = late(
    r"example|placeholder|changeme|change-me|dummy|redacted|x{6}|your[-_]|\*{3}|1234567890abcdef"
    r"|(.)\1{9}",
    re.IGNORECASE,
)
_TOLD = late(
    r"\$|%[({sdv]|[<{\[(@!*#&|~]|\.{1,2}[/.\\]|…|x{3}|env[:.]|process\.|os\.|vault:|secret:|file:"
    r"|keyring:|op://|sha\d|null\b|none\b|nil\b|true\b|false\b|undefined|optional\b|required\b"
    r"|str\b|string\b|test|fake|sample|my[-_]|some[-_]|the[-_]|your|abc123|foo|bar\b|baz\b",
    re.IGNORECASE,
)
_PART = late(r"[A-Za-z]{0,20}\d{0,1}|\d{1,4}|[vV]?\d{1,3}|[a-zA-Z]{1,3}\d{1,4}")
_PARTS = late(r"[-_.:/@+ ]+")
_CALLED = late(
    r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|[A-Za-z]\w*(?:Keys?|Types?|Tokens?|Secrets?|Passwords?)"
)


def worded(value: str) -> bool:
    """Whether a value reads like words and small numbers: a name, a version, a path, a date."""
    return all(_PART().fullmatch(part) for part in _PARTS().split(value)) and not _mixed(value)


def _mixed(value: str) -> bool:
    return any(c in "$!#%^*=?~" for c in value)


def told(value: str) -> bool:
    """Whether a value only stands for one: a variable, a placeholder, a type."""
    return (
        _TOLD().match(value) is not None
        or _EXAMPLE().search(value) is not None
        or "://" in value
        or "${" in value
        or "{{" in value
    )


def _secret(value: str, *, strong: bool, quoted: bool) -> bool:
    if told(value) or (not quoted and _CALLED().fullmatch(value)):
        return False
    if value.isdigit():
        return strong and quoted and len(value) >= 6
    digit = _DIGIT().search(value) is not None
    if strong:
        if len(value) < 6 or not (digit or _mixed(value)):
            return False
        return not value.isascii() or _plain_word_and_digit(value) or not worded(value)
    return len(value) >= (12 if quoted else 16) and digit and not worded(value)


_PASSWORD = late(r"[A-Za-z]{4,20}\d{1,4}")


def _plain_word_and_digit(value: str) -> bool:
    """People's passwords: `hunter2`, `summer2024`."""
    return _PASSWORD().fullmatch(value) is not None


def named(text: str, lower: str, keyword: str) -> Iterator[Span]:
    """Yield the values in `text` whose name holds `keyword`; `lower` is the text in lower case."""
    done = tried = tries = 0
    place = lower.find(keyword)
    while place >= 0:
        if place >= tried:
            tries = 0
        tries += 1
        value = _named_at(text, max(place - 12, done), place)
        after = place + len(keyword)
        if value is not None:
            start, end, quoted, strong, name = value
            if _secret(text[start:end], strong=strong, quoted=quoted):
                yield start, end, _kind(name, strong=strong)
                done = after = end
            elif tries > _TRIES:  # names in a value of a name in a value ...
                after = max(after, end)
            tried = max(tried, end)
        place = lower.find(keyword, after)


_TRIES = 4


def _named_at(text: str, earliest: int, place: int) -> tuple[int, int, bool, bool, str] | None:
    """Return where the value is of the name at `place` (start, end), whether it is quoted, whether
    its name alone makes it a password, and the name."""
    name = _NAMED().match(text, place)
    if name is None and text[place : place + 3].lower() == "key":
        found = _NAMED().search(text, earliest, place + 10)  # the name begins before: api_key
        name = found if found is not None and found.start() < place else None
    if name is None:
        return None
    sets = _SETS().match(text, name.end())
    if sets is None or not _is_name(text, name, sets):
        return None
    xml = bool(sets["xml"])
    value = _value(text, sets.end(), xml=xml)
    if value is None:
        return None
    return value[0], value[1], value[2] or xml, name["strong"] is not None, name[0]


def _is_name(text: str, name: re.Match[str], sets: re.Match[str]) -> bool:
    """Whether what stands before makes this another thing than a secret's name."""
    begin = name.start()
    if name[0].lower().startswith("token") and _PAGING().search(text, max(begin - 20, 0), begin):
        return False
    if sets["blank"] and not _OPTION().search(text, max(begin - 24, 0), begin):
        return False
    # `arn:aws:...:secret:NAME`, and our own marks
    return not (sets[0] == ":" and text[max(begin - 1, 0) : begin] in (":", "["))


def _kind(name: str, *, strong: bool) -> str:
    if strong:
        return "password"
    lower = name.lower()
    return "token" if "token" in lower else "api-key" if "key" in lower else "secret"


def _value(text: str, start: int, *, xml: bool) -> tuple[int, int, bool] | None:
    """Return start and end of the value there, and whether it is quoted."""
    quote = _QUOTE().match(text, start)
    if quote is not None:
        end = text.find(quote["q"], quote.end(), quote.end() + 500)
        value = text[quote.end() : end]
        if end < 0 or not value or any(c.isspace() for c in value):
            return None
        return quote.end(), end, True
    found = _BARE().match(text, start)
    if found is None:
        return None
    end = found.end()
    if xml:
        return (start, end, False) if text.startswith("</", end) else None
    if text[end : end + 1] in ("(", "["):
        return None
    while end > start and text[end - 1] in ".:!?":
        end -= 1
    return start, end, False


# -- headers and URLs -------------------------------------------------------------------------

_BEARER = late(r"(bearer|basic)(?:[ \t]|%20|\+){1,4}([A-Za-z0-9._~+/=-]{8,4096})", re.IGNORECASE)
URL = r"://[^\s/?#@:\"'`<>]*:[^\s/?#\"'`<>]+@"
_IN_URL = late(r"://[^\s/?#@:\"'`<>\\]{0,256}:([^\s/?#\"'`<>\\]{1,256})@(?=[A-Za-z0-9\[_.-])")


def headers(text: str, lower: str, word: str) -> Iterator[Span]:
    """Yield what follows `bearer` or `basic` (the `word`) where it is a credential
    (RFC 6750, section 2.1; RFC 7617)."""
    place = lower.find(word)
    while place >= 0:
        found = _BEARER().match(text, place)
        if found is not None:
            value = found[2]
            if word == "basic":
                if _user_and_password(value):
                    yield found.start(2), found.end(2), "basic-auth"
            elif len(value) >= 16 and _DIGIT().search(value) and not (worded(value) or told(value)):
                yield found.start(2), found.end(2), "bearer-token"
        place = lower.find(word, found.end() if found else place + len(word))


def _user_and_password(value: str) -> bool:
    try:
        pair = base64.b64decode(value + "=" * (-len(value) % 4), validate=True).decode()
    except ValueError:
        return False
    user, colon, password = pair.partition(":")
    return bool(colon and password) and user.isprintable() and password.isprintable()


def urls(text: str) -> Iterator[Span]:
    """Yield the passwords in URLs (RFC 3986, section 3.2.1)."""
    for found in _IN_URL().finditer(text):
        value = found[1]
        user = text[found.start() + 3 : found.start(1) - 1]
        if told(value) or value.lower() in _NO_PASSWORDS or value == user:
            continue
        yield found.start(1), found.end(1), "url-password"


_NO_PASSWORDS = frozenset({"password", "pass", "passwd", "pwd", "secret", "pw", "token", "port"})


# -- what is not finished -------------------------------------------------------------------

_EDGE = r"(?:^|[^A-Za-z0-9_-]|\\[nrtbf])"
_URL_BEGIN = "https://hooks.slack.com/services/"


def one_of(texts: Iterable[str]) -> str:
    """Return an expression for any of some exact texts, for both engines."""
    return "(?:" + "|".join(re.escape(text).replace("\\ ", " ") for text in texts) + ")"


def open_token(begins: Iterable[str]) -> str:
    """Return an expression (the secret is its group) for a text that ends in the beginning of a
    token, or of the letters that tokens begin with."""
    whole = (*begins, _URL_BEGIN, "-----BEGIN ")
    parts = sorted({begin[:size] for begin in whole for size in range(1, len(begin))})
    return f"{_EDGE}({one_of(whole)}[A-Za-z0-9_.%+/=:~-]*|{one_of(parts)})"


_PART_VALUE = r"(?:\\{0,3}[\"'`][^\s\"'`]*|[^\s,;\"'`<>(){}\[\]|]*<?)"
_RUN_OF = "[A-Za-z0-9_:.-]"
OPEN = (
    _EDGE + f"({_RUN_OF}{{0,64}}[0-9]{_RUN_OF}{{5,64}}|{_RUN_OF}{{5,64}}[0-9]{_RUN_OF}{{0,64}})",
    r"(?i:pass|passw(?:or)?d|passphrase|pwd|secret|token|credentials?|key)[_-]?[0-9]{0,2}"
    r"[\"'`\])\\]{0,4}(?:[ \t]{0,8}(?::=|=>|={1,3}|:)(?:[ \t]|\\t){0,8}|>)(" + _PART_VALUE + ")",
    r"--?(?i:[a-z-]{0,24}(?:pass|password|pwd|secret|token|key))[ \t](" + _PART_VALUE + ")",
    r"(?i:bearer|basic)(?:[ \t]|%20|\+){1,4}([A-Za-z0-9._~+/=-]*)",
    r"://[^\s/?#@:\"'`<>]*:([^\s/?#\"'`<>]*)",
    one_of(begin for _, begin, _ in _AFTER) + r"([A-Za-z0-9%+/_=-]*)",
    r"(-----BEGIN [A-Z0-9 ]{0,60}-{0,5})",
    r"(-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\s\\:,.-]*)",
    r"(PuTTY-User-Key-File-[23]: [A-Za-z0-9+/=\s:_.-]*)",
)
"""Expressions for a text that ends in an unfinished secret, which is the group of each."""


def ended(text: str, start: int) -> bool:
    """Whether the private key that begins there is whole, or was none at all."""
    if text.startswith(_PUTTY, start):
        mac = text.find("Private-MAC: ", start)
        found = _MAC().match(text, mac + 13) if mac >= 0 else None
        return found is not None and found.end() < len(text)
    begin = _BEGIN().match(text, start)
    if begin is None:
        return False
    body = _BODY().match(text, begin.end())
    rest = body.end() if body else begin.end()
    return _END().match(text, rest) is not None or _TO_COME().fullmatch(text, rest) is None


# -- private keys -----------------------------------------------------------------------------

_BEGIN = late(r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_BREAK = r"(?:\s|\\[nr]|%0[aAdD]|<br>){0,4}"
_BODY = late(
    rf"(?:{_BREAK}[A-Za-z][A-Za-z-]{{1,30}}: [^\n\\]{{0,100}})*"
    rf"(?:{_BREAK}[A-Za-z0-9+/=]{{12,}})*(?:{_BREAK}[A-Za-z0-9+/=]{{1,64}}(?={_BREAK}-----END))?"
)
_END = late(_BREAK + r"-----END (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_TO_COME = late(
    rf"{_BREAK}(?:[A-Za-z0-9+/=]{{0,76}}|-{{1,5}}(?:E(?:ND?)?)?|-----END [A-Z0-9 ]{{0,50}}-{{0,4}}"
    rf"|[A-Za-z][A-Za-z-]{{1,30}}(?:: ?[^\n\\]{{0,100}})?)\\?"
)
_LINE = late(r"[A-Za-z0-9+/=]{40,80}\Z")
_LAST_LINE = late(r"[A-Za-z0-9+/=]{2,80}\Z")
_PUTTY = "PuTTY-User-Key-File-"
_MAC = late("[0-9a-f]{20,}")
LONGEST_KEY = 32768


def private_keys(text: str) -> Iterator[Span]:
    """Yield private keys whole (RFC 7468): also one whose end is missing, and the last lines of
    one whose beginning is."""
    done = 0
    for begin in _BEGIN().finditer(text):
        if begin.start() < done:
            continue
        body = _BODY().match(text, begin.end(), begin.end() + LONGEST_KEY)
        done = begin.end() if body is None else body.end()
        end = _END().match(text, done, done + 80)
        done = end.end() if end else done
        if done - begin.end() > 24:
            yield begin.start(), done, "private-key"
    for end in _END().finditer(text):
        if end.end() > done:
            start = _lines_before(text, end.start(), done)
            if start < end.start():
                yield start, end.end(), "private-key"
                done = end.end()


def _lines_before(text: str, end: int, earliest: int) -> int:
    """Return where the lines of base64 before `end` begin."""
    earliest = max(earliest, end - LONGEST_KEY)
    start, shape = end, _LAST_LINE
    while start > earliest:
        stop = start
        while stop > earliest and text[stop - 1].isspace():
            stop -= 1
        if text[max(stop - 2, 0) : stop] in ("\\n", "\\r"):
            stop -= 2
        line = shape().search(text, max(stop - 80, earliest), stop)
        if line is None:
            break
        start, shape = line.start(), _LINE
    return start if end - start > 40 else end


def putty_keys(text: str) -> Iterator[Span]:
    """Yield PuTTY's private keys."""
    begin = text.find(_PUTTY)
    while begin >= 0:
        mac = text.find("Private-MAC: ", begin, begin + LONGEST_KEY)
        found = _MAC().match(text, mac + 13) if mac >= 0 else None
        if found is not None:
            yield begin, found.end(), "private-key"
        begin = text.find(_PUTTY, found.end() if found else begin + len(_PUTTY))
