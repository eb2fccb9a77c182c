# The client of one scenario, at most two at a time: the suite starts all of its clients at once,
# which a small machine answers with timeouts that look like failures.
#   gate.sh FOLDER PYTHON URL    the exit code goes into a file of FOLDER
exec 8>"$1/slot8" 9>"$1/slot9"
while :; do
    for slot in 8 9; do
        flock -n "$slot" && break 2
    done
    flock -w 0.2 "$((8 + $$ % 2))" && break
done
# Coverage doubles the time of a start; of the many that log in, one is enough.
case $MCP_CONFORMANCE_SCENARIO in
auth/scope-step-up) ;;
auth/*) unset COVERAGE_PROCESS_CONFIG COVERAGE_PROCESS_START ;;
esac
"$2" -m agent_host.conformance "$3"
code=$?
echo "$code" >"$1/code-$(echo "$MCP_CONFORMANCE_SCENARIO" | tr / _)-$MCP_CONFORMANCE_PROTOCOL_VERSION"
exit "$code"
