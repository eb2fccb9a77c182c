"""The TLS side of a server's URL: whom to believe, who we are, and what a failure means.

Theory of operation: without a `[servers.NAME.tls]` table the system's authorities are believed, as
everywhere. Its `ca` replaces them, its `cert` and `key` are shown to servers that ask who calls
(mTLS). Each file is read once, when the connection is made, and a file that will not do is told by
its key in servers.toml. Verification cannot be switched off.
"""

import ssl
from pathlib import Path

import httpx2

from agent_host.core.text import clean_line
from agent_host.servers.spec import ConnectFailedError, TlsSpec

_MEANINGS = (
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not believed"),
    ("CERTIFICATE_REQUIRED", "it wants a client certificate: set tls.cert (and tls.key)"),
    ("UNKNOWN_CA", "it does not believe the client certificate of tls.cert"),
    ("BAD_CERTIFICATE", "it refuses the client certificate of tls.cert"),
    ("CERTIFICATE_UNKNOWN", "it refuses the client certificate of tls.cert"),
    ("CERTIFICATE_EXPIRED", "it says that the client certificate of tls.cert has expired"),
    ("HANDSHAKE_FAILURE", "no TLS terms in common; does it want a client certificate (tls.cert)?"),
    ("WRONG_VERSION_NUMBER", "what answers there is not TLS; is it http:// instead of https://?"),
    ("RECORD_LAYER_FAILURE", "what answers there is not TLS; is it http:// instead of https://?"),
)
"""OpenSSL's reason (a part of it) -> what it means for the config."""


def tls_context(tls: TlsSpec, name: str) -> ssl.SSLContext:
    """The client's side of TLS for server `name`. Raises ConnectFailedError, which names the key
    of servers.toml that is at fault."""
    at = f"[servers.{name}] tls"
    try:
        context = _authorities(tls, at)
    except OSError as error:
        # A variable of the environment names what is not there.
        text = f"the authorities that SSL_CERT_FILE or SSL_CERT_DIR names: {_reason(error)}"
        raise ConnectFailedError(clean_line(f"{text}; correct or unset it")) from None
    if tls.key and not tls.cert:
        raise ConnectFailedError(f"{at}: key without cert; name the certificate with cert")
    if tls.cert:
        _show(context, tls, at)
    return context


def _authorities(tls: TlsSpec, at: str) -> ssl.SSLContext:
    if not tls.ca:
        return httpx2.create_ssl_context()
    _readable(tls.ca, f"{at}.ca")
    try:
        return ssl.create_default_context(cafile=tls.ca)
    except (OSError, ValueError):
        what = "holds no certificate in PEM; an authority's file starts with BEGIN CERTIFICATE"
        raise ConnectFailedError(_about(f"{at}.ca", tls.ca, what)) from None


def _show(context: ssl.SSLContext, tls: TlsSpec, at: str) -> None:
    """Load the client's certificate and key."""
    key_at = f"{at}.key" if tls.key else f"{at}.cert"
    for key, path in (("cert", tls.cert), ("key", tls.key)):
        if path:
            _readable(path, f"{at}.{key}")
    if "-----BEGIN CERTIFICATE-----" not in _text(tls.cert):
        what = "holds no certificate in PEM (BEGIN CERTIFICATE)"
        raise ConnectFailedError(_about(f"{at}.cert", tls.cert, what))
    key_path = tls.key or tls.cert
    if "PRIVATE KEY-----" not in _text(key_path):
        more = "" if tls.key else "; name its file with tls.key"
        what = f"holds no private key in PEM (BEGIN PRIVATE KEY){more}"
        raise ConnectFailedError(_about(key_at, key_path, what))
    try:
        # Without a password of ours OpenSSL would ask the terminal for one.
        context.load_cert_chain(tls.cert, tls.key or None, password="")
    except (OSError, ValueError) as error:
        raise ConnectFailedError(_about(key_at, key_path, _key_fault(error, key_path))) from None


def _key_fault(error: Exception, path: str) -> str:
    text = str(error)
    if "MISMATCH" in text:
        return "is not the key of tls.cert; name the two files that were made together"
    if "ENCRYPTED" in _text(path):
        return "is encrypted; decrypt it: openssl pkey -in KEY -out PLAIN, and name that file"
    return f"cannot be used: {_reason(error)}"


def _readable(path: str, key: str) -> None:
    try:
        with Path(path).open("rb") as file:
            file.read(1)
    except OSError as error:
        what = f"cannot be read: {_reason(error)}; correct the path"
        raise ConnectFailedError(_about(key, path, what)) from None


def _text(path: str) -> str:
    return Path(path).read_text(encoding="ascii", errors="replace")


def _about(key: str, path: str, what: str) -> str:
    return clean_line(f"{key}: {path} {what}", 500)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def tls_fault(error: BaseException) -> str:
    """What a failure of TLS behind `error` means, or nothing if there is none behind it."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return ""
        if isinstance(seen, ssl.SSLCertVerificationError):
            return _unbelieved(seen)
        text = f"{getattr(seen, 'reason', '')} {seen}" if isinstance(seen, ssl.SSLError) else ""
        if text:
            return next((said for part, said in _MEANINGS if part in text), clean_line(str(seen)))
        seen = seen.__cause__ or seen.__context__
    return ""


def _unbelieved(error: ssl.SSLCertVerificationError) -> str:
    message = clean_line(error.verify_message or str(error), 200)
    if "ostname mismatch" in message or "IP address mismatch" in message:
        return f"its certificate is for another name: {message}; correct the host in url"
    if "expired" in message:
        return f"its certificate has expired ({message}); whoever runs it must renew it"
    return (
        f"its certificate is not believed: {message}; if it is right, set tls.ca to its authority"
    )
