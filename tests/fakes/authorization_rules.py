"""What an authorization server decides: who a client is, what a grant and a proof are worth.

`authorization_server` serves it; each function gets the handler of a request, with its `world`.
"""

import base64
import hashlib
import json
import secrets
import time
from urllib.parse import unquote, urlencode

import jwt
from jwt.algorithms import ECAlgorithm

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
KEY = secrets.token_hex(32)


class RefusedError(Exception):
    def __init__(self, error, description="", status=400):
        self.body = {"error": error, "error_description": description}
        self.status = status


def prove(handler, url, expected=None, ath=None):
    """Check a DPoP proof (RFC 9449 section 4.3)."""
    world, proof = handler.world, handler.headers.get("DPoP", "")
    try:
        header = jwt.get_unverified_header(proof)
        key = ECAlgorithm.from_jwk(header["jwk"])
        claims = jwt.decode(proof, key, ["ES256"], options={"verify_iat": False})
    except (jwt.PyJWTError, KeyError):
        raise RefusedError("invalid_dpop_proof") from None
    print_ = json.dumps(header["jwk"], sort_keys=True)
    sound = (
        header["typ"] == "dpop+jwt"
        and "d" not in header["jwk"]
        and claims["htm"] == handler.command
        and claims["htu"] == url
        and claims["jti"] not in world.proofs
        and expected in (None, print_)
        and claims.get("ath") == ath
        and (ath is None or handler.headers["Authorization"].startswith("DPoP "))
    )
    if not sound:
        raise RefusedError("invalid_dpop_proof", repr(claims))
    world.proofs.add(claims["jti"])
    if "nonce" in world.modes and claims.get("nonce") != world.nonce:
        raise RefusedError("use_dpop_nonce")
    return claims | {"jkt": print_}


def metadata(world):
    base, modes = world.issuer, world.modes
    if "own_server" in modes:
        base = world.origin
    told = {
        "issuer": "https://evil.example" if "wrong_metadata_issuer" in modes else base,
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/token",
        "registration_endpoint": f"{base}/register",
        "revocation_endpoint": f"{base}/revoke",
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
        "authorization_response_iss_parameter_supported": True,
        "scopes_supported": world.catalogue,
    }
    if "no_s256" in modes:
        told["code_challenge_methods_supported"] = ["plain"]
    if "pkce_unsaid" in modes:
        del told["code_challenge_methods_supported"]
    if "no_registration" in modes:
        del told["registration_endpoint"]
    if "no_page" in modes:
        del told["authorization_endpoint"]
    if "cimd" in modes:
        told["client_id_metadata_document_supported"] = True
    for method in ("basic", "post"):
        if f"{method}_only" in modes:
            told["token_endpoint_auth_methods_supported"] = [f"client_secret_{method}"]
    return told | world.endpoints


def register(handler, fields):
    world = handler.world
    if "localhost_only" in world.modes and "127.0.0.1" in fields["redirect_uris"][0]:
        raise RefusedError("invalid_redirect_uri")
    if "own_scopes_only" in world.modes and "scope" in fields:
        raise RefusedError("invalid_client_metadata")
    client = fields | {"client_id": f"client-{len(world.clients) + 1}"}
    if fields.get("token_endpoint_auth_method") != "none":
        client["client_secret"] = f"secret-{len(world.clients) + 1}"
    world.clients[client["client_id"]] = client
    return 201, client


def page(world, fields):
    """Where the browser is sent after a person agreed."""
    modes = world.modes
    client = world.clients.get(fields.get("client_id", ""))
    assert client is not None or fields["client_id"].startswith("https://"), fields
    assert client is None or fields["redirect_uri"] in client["redirect_uris"], (client, fields)
    back = {"state": "another" if "wrong_state" in modes else fields["state"]}
    if "no_iss" not in modes:
        issuer = world.origin if "own_server" in modes else world.issuer
        back["iss"] = "https://evil.example" if "wrong_iss" in modes else issuer
    beyond = set(fields.get("scope", "").split()) - set((client or {}).get("scope", "").split())
    if "registered_scopes_only" in modes and beyond:
        back |= {"error": "invalid_scope"}
    elif "deny" in modes:
        back |= {"error": "access_denied", "error_description": "no\x1b[2J"}
    else:
        back["code"] = secrets.token_urlsafe(12)
        world.codes[back["code"]] = fields
    return f"{fields['redirect_uri']}?{urlencode(back)}"


def identify(handler, fields):
    """The client that asks, by whatever it proves its identity with."""
    world, header = handler.world, handler.headers.get("Authorization", "")
    if header.startswith("Basic "):
        pair = base64.b64decode(header[6:]).decode()
        name, _, secret = (unquote(part) for part in pair.partition(":"))
        assert "client_secret" not in fields
        strict = {"id_in_form": "client_id" in fields, "no_id_in_form": "client_id" not in fields}
        strict["secret_in_form"] = False
        if any(not right for mode, right in strict.items() if mode in world.modes):
            raise RefusedError("invalid_client", "not in this way", 401)
    else:
        name, secret = fields.get("client_id", ""), fields.get("client_secret")
    client = world.clients.get(name, {} if name.startswith("https://") else None)
    if client is None and "anyone" in world.modes:
        client = {}
    if client is None or "forget_clients" in world.modes:
        raise RefusedError("invalid_client", f"unknown {name}", 401)
    if "client_assertion" in fields:
        key = client["public_key"]
        claims = jwt.decode(fields["client_assertion"], key, [client["alg"]], audience=world.issuer)
        assert claims["iss"] == claims["sub"] == name
        return name
    for method, only in (("basic", header.startswith("Basic ")), ("post", bool(secret))):
        if f"{method}_only" in world.modes and not only:
            raise RefusedError("invalid_client", f"only {method}", 401)
    if client.get("client_secret") != (secret or None):
        raise RefusedError("invalid_client", f"wrong secret {secret}", 401)
    return name


def issue(handler, fields):
    world, modes = handler.world, handler.world.modes
    bound = None
    if "dpop" in modes:
        bound = prove(handler, f"{world.issuer}/token")["jkt"]
    if "token_500" in modes:
        return 500, {"error": "server_error"}
    grant = fields.get("grant_type")
    client = identify(handler, fields)
    family, scope = next(world.families), fields.get("scope", "")
    if grant == "authorization_code":
        asked = world.codes.pop(fields["code"], None)
        if asked is None or asked["client_id"] != client:
            raise RefusedError("invalid_grant", f"unknown code {fields['code']}")
        digest = hashlib.sha256(fields["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if challenge != asked["code_challenge"] or asked["code_challenge_method"] != "S256":
            raise RefusedError("invalid_grant", "PKCE")
        if fields["redirect_uri"] != asked["redirect_uri"]:
            raise RefusedError("invalid_grant", "redirect_uri")
        if fields.get("resource") != asked.get("resource"):
            raise RefusedError("invalid_target")
        scope = asked.get("scope", "")
    elif grant == "refresh_token":
        family, scope = rotate(world, fields, client)
    elif grant == JWT_BEARER:
        check_assertion(world, fields, client)
    elif grant != "client_credentials":
        raise RefusedError("unsupported_grant_type")
    return 200, token(world, fields, scope, family, bound)


def rotate(world, fields, client):
    known = world.refreshes.get(fields["refresh_token"])
    if known is None or known["client"] not in (client, None):
        raise RefusedError("invalid_grant", f"unknown {fields['refresh_token']}")
    if known["used"] or known["family"] in world.revoked:
        world.revoked.append(known["family"])
        for one in world.tokens.values():
            if one["family"] == known["family"]:
                one["good"] = False
        raise RefusedError("invalid_grant", "used twice")
    known["used"] = "no_rotation" not in world.modes
    return known["family"], known["scope"]


def check_assertion(world, fields, client):
    try:
        claims = jwt.decode(fields["assertion"], KEY, ["HS256"], audience=world.issuer)
    except jwt.PyJWTError as error:
        raise RefusedError("invalid_grant", str(error)) from None
    if claims.get("client_id") not in (client, None):
        raise RefusedError("invalid_grant", "another client")
    if claims.get("resource") not in (world.url, None):
        raise RefusedError("invalid_target")


def token(world, fields, scope, family, bound):
    access = f"access-{secrets.token_urlsafe(16)}"
    if "grant_less" in world.modes:
        scope = "basic"
    resource = "https://other.example" if "wrong_audience" in world.modes else None
    world.tokens[access] = {
        "scope": scope,
        "family": family,
        "good": True,
        "jkt": bound if "bearer_for_dpop" not in world.modes else None,
        "ends": world.now() + world.lifetime,
        "resource": resource or fields.get("resource"),
    }
    told = {"access_token": access, "token_type": "DPoP" if bound else "bearer"}
    if "bearer_for_dpop" in world.modes:
        told["token_type"] = "Bearer"
    if "bad_token" in world.modes:
        told["access_token"] = "a\r\nX-Evil: 1"
    if "no_expires" not in world.modes:
        lifetime = world.lifetime
        told["expires_in"] = str(lifetime) if "text_expires" in world.modes else lifetime
    if scope:
        told["scope"] = scope
    lasting = fields["grant_type"] in ("authorization_code", "refresh_token")
    if "no_rotation" in world.modes:
        lasting = fields["grant_type"] == "authorization_code"
    if lasting and "no_refresh" not in world.modes:
        told["refresh_token"] = f"refresh-{secrets.token_urlsafe(16)}"
        world.refreshes[told["refresh_token"]] = {
            "used": False,
            "family": family,
            "scope": scope,
            "client": None,
        }
    return told


def revoke(handler, fields):
    world = handler.world
    identify(handler, fields)
    if "revoke_500" in world.modes:
        return 500, {}
    if "secret_field" in world.modes and "client_secret" not in fields:
        raise RefusedError("invalid_request")
    if "structured" in world.modes and fields["token"] in world.tokens:
        raise RefusedError("unsupported_token_type")
    world.tokens.get(fields["token"], {})["good"] = False
    world.refreshes.get(fields["token"], {})["used"] = True
    return 200, {}


def exchange(handler, fields):
    """The identity provider of enterprise-managed authorization."""
    world = handler.world
    if fields.get("subject_token") != "id-token-of-alice":
        raise RefusedError("invalid_grant", f"who is {fields.get('subject_token')}?")
    assert fields["grant_type"] == EXCHANGE
    assert fields["requested_token_type"] == ID_JAG
    assert fields["subject_token_type"].endswith("id_token")
    claims = {
        "iss": "https://idp.example",
        "aud": fields["audience"],
        "resource": fields["resource"],
        "client_id": "corp",
        "exp": time.time() + 60,
    }
    made = jwt.encode(claims, KEY, "HS256")
    kind = "urn:other" if "not_a_jag" in world.modes else ID_JAG
    return 200, {"access_token": made, "issued_token_type": kind, "token_type": "N_A"}


HANDLERS = {"/register": register, "/token": issue, "/revoke": revoke, "/idp": exchange}


def workload_token(world, **more):
    claims = {"sub": "pod", "aud": world.issuer, "exp": time.time() + 60, **more}
    return jwt.encode(claims, KEY, "HS256")
