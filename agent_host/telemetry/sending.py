"""The OpenTelemetry SDK: where spans and measurements go.

Theory of operation: nothing here blocks a run. Spans wait in a bounded queue and are sent by the
SDK's own thread, measurements at intervals; what the collector refuses is noted, said once by
`close`, and never written to the terminal by the SDK's logger.
"""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from agent_host.core.text import clean_line

SCOPE = "agent_host"
SEND_SECONDS = 2.0
"""What one sending may take, with all its tries; the end of a run waits no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where OTLP/HTTP goes. `endpoint`: the collector's root, without `/v1/...`; `headers` may
    hold secrets; `interval` in seconds; `max_spans` wait at most."""

    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    service: str = "agent-host"
    version: str = ""
    interval: float = 10.0
    max_spans: int = 2048


class Sending:
    """Providers of spans and measurements. `failure` is what went wrong last, for people."""

    def __init__(self, to: Destination) -> None:
        self.failure = ""
        self._log = _Failures(self)
        logger = logging.getLogger("opentelemetry")
        logger.addHandler(self._log)
        logger.propagate = False
        resource = Resource.create({"service.name": to.service, "service.version": to.version})
        root, headers = to.endpoint.rstrip("/"), dict(to.headers)
        spans = OTLPSpanExporter(
            endpoint=f"{root}/v1/traces", headers=headers, timeout=SEND_SECONDS
        )
        metrics = OTLPMetricExporter(
            endpoint=f"{root}/v1/metrics", headers=headers, timeout=SEND_SECONDS
        )
        self._tracing = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._tracing.add_span_processor(
            BatchSpanProcessor(
                spans,
                max_queue_size=to.max_spans,
                max_export_batch_size=min(512, to.max_spans),
                schedule_delay_millis=to.interval * 1000,
            )
        )
        reader = PeriodicExportingMetricReader(metrics, export_interval_millis=to.interval * 1000)
        self._metering = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self.tracer = self._tracing.get_tracer(SCOPE, to.version)
        self.meter = self._metering.get_meter(SCOPE, to.version)

    def close(self) -> str:
        """Send what is left, and return what went wrong, or "". Blocking, for SEND_SECONDS at
        most or hardly more: not for the event loop's thread."""
        both = (self._tracing.force_flush, self._metering.force_flush)
        with ThreadPoolExecutor(len(both)) as threads:
            for done in [threads.submit(flush, int(SEND_SECONDS * 1000)) for flush in both]:
                done.result()
        logging.getLogger("opentelemetry").removeHandler(self._log)
        return self.failure


class _Failures(logging.Handler):
    """Keeps the last complaint of the SDK instead of printing it."""

    def __init__(self, sending: Sending) -> None:
        super().__init__(level=logging.WARNING)
        self._sending = sending

    def emit(self, record: logging.LogRecord) -> None:
        """Note one line."""
        self._sending.failure = clean_line(record.getMessage(), 300)
