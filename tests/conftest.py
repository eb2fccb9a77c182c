"""What holds for every test."""

import atexit
import os
import shutil
import tempfile

from hypothesis import HealthCheck, settings

# No test may fail because the machine was slow.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# Sessions in this process keep what all runs share (state.db, the audit log) out of the user's own.
_STATE = tempfile.mkdtemp(prefix="agent-host-tests-")
os.environ["AGENT_HOST_STATE"] = _STATE
atexit.register(shutil.rmtree, _STATE, ignore_errors=True)
