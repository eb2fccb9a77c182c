"""What a login can end in.

Theory of operation: both are transport errors, so whoever sends requests has one kind to handle. In
either case the request that wanted the login was not performed.
"""

import httpx2

from agent_host.core.text import clean_line


class LoginFailedError(httpx2.TransportError):
    """No token could be had; the text says why and is clean. `code`: the authorization server's
    error code (RFC 6749 section 5.2), or empty."""

    def __init__(self, text: str, *, code: str = "") -> None:
        super().__init__(clean_line(text, 600))
        self.code = code


class NeedsLoginError(LoginFailedError):
    """Only a person can go on. `scope`: what the server wants beyond what was granted; then the
    server still answers what needs no more than that."""

    def __init__(self, text: str, *, scope: str = "") -> None:
        super().__init__(text)
        self.scope = scope
