"""What the suite says in the environment, as the spec of a server.

Theory of operation: `MCP_CONFORMANCE_CONTEXT` is JSON whose keys depend on the scenario; which
way to log in follows from the keys alone, where it can. Only what no key says hangs on the
scenario's name: that a login is by client credentials and not by a person, that tokens are to be
bound (DPoP), and that skills are to be loaded and not only listed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent_host.core.types import JsonObject
from agent_host.servers.spec import AuthSpec, AuthType, HttpSpec

SERVER = "conformance"
METADATA_URL = "https://conformance-test.local/client-metadata.json"
"""What the suite expects as the client id, where an authorization server takes such documents."""
CONNECT_TIMEOUT = 20.0
CALL_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One scenario. `calls`: the tools to call with their arguments; empty: every tool there is."""

    spec: HttpSpec
    calls: tuple[tuple[str, JsonObject], ...] = ()
    loads_skills: bool = False


def read_case(url: str, environ: Mapping[str, str], store: Path) -> Case:
    """Return what to do at `url`; tokens are kept in the folder `store`. Raises ValueError for a
    context that is no JSON object."""
    scenario = environ.get("MCP_CONFORMANCE_SCENARIO", "")
    context = json.loads(environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    if not isinstance(context, dict):
        raise ValueError("MCP_CONFORMANCE_CONTEXT is not a JSON object")  # noqa: TRY004  # no type error
    return Case(
        spec=HttpSpec(
            name=SERVER,
            url=url,
            connect_timeout=CONNECT_TIMEOUT,
            call_timeout=CALL_TIMEOUT,
            auth=_auth(scenario, context, store),
            roots=(store.as_uri(),),
            sampling=True,
        ),
        calls=tuple(
            (call["name"], call.get("arguments", {})) for call in context.get("toolCalls", [])
        ),
        loads_skills=scenario.startswith("sep-2640-client-verify"),
    )


def _auth(scenario: str, context: JsonObject, store: Path) -> AuthSpec:
    jwt = context.get("valid_jwt") or context.get("idp_id_token")
    return AuthSpec(
        type=_type(scenario, context),
        store=store,
        client_id=context.get("client_id", ""),
        client_secret=context.get("client_secret", ""),
        client_metadata_url=METADATA_URL,
        private_key=context.get("private_key_pem", ""),
        algorithm=context.get("signing_algorithm", "ES256"),
        dpop="dpop" in scenario,
        assertion=(lambda: str(jwt)) if jwt else None,
        idp_token_url=context.get("idp_token_endpoint", ""),
        idp_client_id=context.get("idp_client_id", ""),
    )


def _type(scenario: str, context: JsonObject) -> AuthType:
    if "valid_jwt" in context:
        return "workload"
    if "idp_id_token" in context:
        return "enterprise"
    if "client-credentials" in scenario:
        return "client-credentials"
    return "oauth"
