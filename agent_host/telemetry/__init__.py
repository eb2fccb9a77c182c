"""OpenTelemetry traces and metrics (the extra `telemetry`)."""
