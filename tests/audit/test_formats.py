"""Every entry in every format, against what the format's own specification says."""

import json
import re

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as gen_ai
from opentelemetry.semconv._incubating.attributes import mcp_attributes as mcp
from opentelemetry.semconv._incubating.attributes import user_attributes as user
from opentelemetry.semconv.attributes import error_attributes as error

from agent_host.audit import cef, ocsf, otel
from agent_host.audit.chain import ZERO, seal
from agent_host.audit.entries import Facts, Projection
from agent_host.audit.reading import parsed
from agent_host.audit.wording import sentence, severity
from tests.audit.made import entry, time_of
from tests.audit.ocsf_rules import violations
from tests.audit.runs import EVENTS, records

OF_THE_LOG = (
    {"type": "file_begun", "format": 1, "after": "audit-000000000001.jsonl"},
    {"type": "file_ended"},
    {"type": "file_retired", "file": "audit-000000000001.jsonl", "last": 9},
    {"type": "torn_end", "size": 9, "kept": "x.torn"},
    {"type": "entries_missing", "expected_seq": 9},
    {"type": "checkpoint", "of": 9, "signature": "x", "key": "y"},
    {"type": "checkpoint", "of": 9, "problem": "no key"},
    {"type": "not_recorded", "event": "tool_started"},
    {"type": "pins_accepted", "who": "ana", "server": "orders", "names": ["a", "b"]},
    {"type": "approval_answered", "who": "bo", "approver": "bo", "decision": "approve"},
    {"type": "something_new", "who": "ana"},
)


def every_entry():
    projection = Projection(Facts(host="1.2", project="/p", policy="p" * 64))
    fields = [entry for record in records(*EVENTS) for entry in projection.take(record)]
    fields += [{"time": time_of(1), **more} for more in OF_THE_LOG]
    return [parsed(seal(each, n + 1, ZERO)[0]) for n, each in enumerate(fields)]


ALL = every_entry()
hostile = st.text(
    st.sampled_from("|=\\\n\r\t \"'{}[]%ab1ü\x1b\u202e\u200b\ud800\U000e0041"), max_size=30
)


def of_type(kind: str):
    return next(each for each in ALL if each["type"] == kind)


# -- OCSF ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", ALL, ids=lambda each: f"{each['seq']}-{each['type']}")
def test_every_entry_is_an_api_activity_of_ocsf(each):
    event = json.loads(ocsf.encoded(each, "1.2"))
    assert violations(event) == []
    assert (event["category_uid"], event["class_uid"], event["type_uid"]) == (6, 6003, 600399)
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    assert event["unmapped"] == each
    assert event["time"] == otel.unix_microseconds(each["time"]) // 1000


def test_the_schema_of_the_tests_would_notice():
    event = ocsf.event(ALL[0], "1.2")
    assert violations({**event, "severity_id": 7})
    assert violations({**event, "what": 1})
    assert violations({k: v for k, v in event.items() if k != "src_endpoint"})
    assert violations({**event, "actor": {}})


def test_what_policy_and_people_decided_is_an_action_of_ocsf():
    denied = ocsf.event(next(e for e in ALL if e.get("decision") == "deny"), "1.2")
    assert (denied["action_id"], denied["disposition_id"]) == (2, 2)
    asked = ocsf.event(of_type("approval_requested"), "1.2")
    assert (asked["action"], asked["disposition"]) == ("Observed", "Challenge")
    approved = ocsf.event(of_type("approval_given"), "1.2")
    assert (approved["action_id"], approved["disposition_id"]) == (1, 8)
    started = ocsf.event(of_type("call_started"), "1.2")
    assert started["actor"]["user"] == {
        "uid": "ana",
        "name": "ana",
        "type_id": 1,
        "type": "User",
    }
    assert started["api"]["operation"] == "get_order"
    assert started["api"]["service"] == {"name": "orders", "version": "2.1"}
    assert started["metadata"]["uid"] == of_type("call_started")["hash"]
    assert started["ai_model"]["ai_provider"] == "acme"


# -- CEF -----------------------------------------------------------------------------------------

DICTIONARY = {
    "rt", "externalId", "act", "outcome", "suser", "sourceServiceName", "destinationServiceName",
    "duser", "request", "requestContext", "deviceProcessName", "fileHash", "reason", "msg",
    *(f"cs{n}" for n in range(1, 7)), *(f"cs{n}Label" for n in range(1, 7)), "cn1", "cn1Label",
}  # fmt: skip


def read_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """Parse a line by the rules of the format."""
    head: list[str] = [""]
    place = 0
    while len(head) < 8:
        if line[place] == "\\":
            assert line[place + 1] in "\\|", "only these are escaped in a header"
            head[-1] += line[place + 1]
            place += 2
            continue
        if line[place] == "|":
            head.append("")
        else:
            head[-1] += line[place]
        place += 1
    rest = line[place:]
    values: dict[str, str] = {}
    starts = [m for m in re.finditer(r"(?:^| )(\w+)=", rest) if rest[m.end() - 2] != "\\"]
    for start, after in zip(starts, [*starts[1:], None], strict=True):
        text = rest[start.end() : after.start() if after else len(rest)]
        assert re.fullmatch(r"(?:[^\\=]|\\[\\=nr])*", text), f"wrongly escaped: {text!r}"
        plain = re.sub(r"\\(.)", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), text)
        assert start[1] not in values
        values[start[1]] = plain
    return head[:7], values


@pytest.mark.parametrize("each", ALL, ids=lambda each: f"{each['seq']}-{each['type']}")
def test_every_entry_is_one_line_of_cef(each):
    line = cef.line(each, "1.2")
    assert "\n" not in line
    head, values = read_cef(line)
    assert head[:3] == ["CEF:0", "agent-host", "agent-host"]
    assert head[4] == each["type"]
    assert 0 <= int(head[6]) <= 10
    assert set(values) <= DICTIONARY
    assert all(values[f"{key}Label"] for key in values if re.fullmatch(r"c[sn]\d", key))
    assert values["externalId"] == str(each["seq"])
    assert values["cs5"] == each["hash"]


@given(hostile, hostile, hostile)
def test_no_text_of_an_entry_can_break_a_line_of_cef(who, reason, kind):
    each = entry(who=who, reason=reason, server=kind, hash="h", seq=3)
    line = cef.line({**each, "host": who}, "1")
    assert "\n" not in line
    assert "\x1b" not in line
    _, values = read_cef(line)
    assert values["externalId"] == "3"
    assert set(values) <= DICTIONARY


def test_values_come_back_as_they_were():
    each = entry(who="a=b\\c|d", reason="two\nlines", hash="h", seq=3)
    _, values = read_cef(cef.line(each, "1"))
    assert values["suser"] == "a=b\\c|d"
    assert values["reason"] == "two\nlines"
    head, _ = read_cef(cef.line({**each, "host": "1|2\\3"}, "1"))
    assert head[3] == "1|2\\3"


# -- OpenTelemetry -------------------------------------------------------------------------------


def proto(*entries) -> ExportLogsServiceRequest:
    """Parsed by OpenTelemetry's own definitions, which know no member that is not theirs."""
    return json_format.Parse(otel.encoded(entries, "1.2"), ExportLogsServiceRequest())


def attributes(record) -> dict[str, object]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in record.attributes}


def test_every_entry_is_a_log_record_of_opentelemetry():
    (resource,) = proto(*ALL).resource_logs
    assert attributes(resource.resource)["service.name"] == "agent-host"
    (scope,) = resource.scope_logs
    assert len(scope.log_records) == len(ALL)
    for each, record in zip(ALL, scope.log_records, strict=True):
        assert record.event_name == f"agent_host.audit.{each['type']}"
        assert record.time_unix_nano == otel.unix_microseconds(each["time"]) * 1000
        assert record.severity_number in {9, 13, 17}
        assert record.body.string_value == sentence(each)
        said = attributes(record)
        assert said["agent_host.audit.seq"] == each["seq"]
        assert said["agent_host.audit.hash"] == each["hash"]


def test_names_are_those_of_the_conventions():
    said = attributes(proto(of_type("call_finished")).resource_logs[0].scope_logs[0].log_records[0])
    assert said[gen_ai.GEN_AI_OPERATION_NAME] == "execute_tool"
    assert said[gen_ai.GEN_AI_TOOL_NAME] == "get_order"
    assert said[gen_ai.GEN_AI_TOOL_CALL_ID] == "c1"
    assert said[gen_ai.GEN_AI_PROVIDER_NAME] == "acme"
    assert said[gen_ai.GEN_AI_REQUEST_MODEL] == "big"
    assert said[gen_ai.GEN_AI_RESPONSE_MODEL] == "big-2026-11"
    assert said[gen_ai.GEN_AI_CONVERSATION_ID] == "01KAP4ZZZZ0000000000000000"
    assert said[mcp.MCP_METHOD_NAME] == "tools/call"
    assert said[user.USER_ID] == "ana"
    assert error.ERROR_TYPE not in said
    refused = proto(of_type("call_refused")).resource_logs[0].scope_logs[0].log_records[0]
    assert attributes(refused)[error.ERROR_TYPE] == "denied"
    known = {v for m in (gen_ai, mcp, user, error) for v in vars(m).values() if isinstance(v, str)}
    for record in proto(*ALL).resource_logs[0].scope_logs[0].log_records:
        foreign = {a.key for a in record.attributes if not a.key.startswith(otel.OWN)}
        assert foreign <= known


@given(st.dictionaries(hostile, st.none() | st.integers() | st.floats() | hostile), hostile)
def test_no_value_of_an_entry_can_break_a_request(arguments, text):
    line, _ = seal(entry(arguments=arguments, server=text, who=text, odd=arguments), 1, ZERO)
    assert proto(parsed(line))


# -- for people ----------------------------------------------------------------------------------


@given(hostile, hostile)
def test_a_sentence_is_one_clean_line(text, other):
    # attacks 12, 23, 24: what a server wrote cannot move the cursor of whoever looks
    for each in ALL:
        shown = sentence({**each, "server": text, "reason": other, "tool": text, "who": other})
        assert not re.search("[\n\r\x1b\u202e\u200b\U000e0041]", shown)


def test_what_is_more_than_information_is_marked():
    levels = {each["type"]: severity(each) for each in ALL}
    assert levels["entries_missing"] == levels["tools_changed"] == 3
    assert levels["call_refused"] == 2
    assert levels["call_started"] == 1


@pytest.mark.parametrize("value", [1, None, True, [1], {"a": 1}, 1.5, "x"])
def test_an_entry_of_strange_types_can_still_be_shown_and_exported(value):
    # a log that was tampered with and sealed again is looked at like any other
    for each in ALL:
        fields = {k: value for k in each if k not in {"seq", "prev", "time", "type", "run", "hash"}}
        strange = parsed(seal({**fields, "time": each["time"], "type": each["type"]}, 1, ZERO)[0])
        assert strange is not None
        assert sentence(strange)
        assert cef.line(strange, "1")
        assert violations(ocsf.event(strange, "1")) == []
        assert proto(strange)
