"""What doctor says of the audit log."""

from dataclasses import replace

import pytest

from agent_host.audit.keys import Signer
from agent_host.audit.spool import Cursor, Spool, State
from agent_host.cli.audit_check import audit_findings
from agent_host.config.load import load
from tests.audit.made import written


@pytest.fixture
def environ(tmp_path):
    return {"AGENT_HOST_STATE": str(tmp_path / "state")}


def found(tmp_path, environ, text=""):
    (tmp_path / "servers.toml").write_text(text)
    return [*audit_findings(load(None, environ, cwd=tmp_path), environ)]


def test_a_log_that_can_be_written_is_in_order(tmp_path, environ):
    ((level, text, _),) = found(tmp_path, environ)
    assert (level, "empty yet" in text) == ("ok", True)
    written(tmp_path / "state", 5)
    ((level, text, _),) = found(tmp_path, environ)
    assert (level, "audit verify" in text) == ("ok", True)


def test_a_log_that_is_off_is_noted(tmp_path, environ):
    ((level, text, _),) = found(tmp_path, environ, "[audit]\nenabled = false\n")
    assert (level, "servers.toml:2" in text) == ("note", True)


def test_a_folder_that_is_none_is_a_problem(tmp_path, environ):
    ((level, text, fix),) = found(tmp_path, environ, '[audit]\nfolder = "servers.toml"\n')
    assert (level, "no run can begin" in text, bool(fix)) == ("problem", True, True)


def test_a_key_that_others_can_read_is_a_problem(tmp_path, environ):
    key = tmp_path / "state" / "audit.key"
    Signer(key).sign(b"")
    key.chmod(0o640)
    _, (level, text, fix) = found(tmp_path, environ)
    assert (level, "not signed" in text, "chmod 600" in fix) == ("problem", True, True)


def test_a_collector_that_takes_nothing_or_refused_something_is_said(tmp_path, environ):
    folder = written(tmp_path / "state", 5)
    spool = Spool(folder, "http://127.0.0.1:9")
    state = State(to=spool.to, cursor=Cursor(seq=4))
    spool.save(state)
    assert found(tmp_path, environ)[1][0] == "ok"
    spool.save(replace(state, problem="down", problem_since="2026", refused=2, lost=3))
    levels = [level for level, _, _ in found(tmp_path, environ)]
    assert levels == ["ok", "problem", "note", "note"]
