"""Telemetry of a session, if the config asks for it."""

import asyncio
import importlib.util
from typing import Any

from agent_host import __version__
from agent_host.config.load import Loaded
from agent_host.engine.startup import Loader
from agent_host.host.secrets import Secrets
from agent_host.telemetry.sink import TelemetrySink

_SENDING = "agent_host.telemetry.sending"
_SPANS = "agent_host.telemetry.spans"


class Telemetry:
    """Traces one session. `sink` watches it; `problem` is for the user, at the start."""

    def __init__(self, loaded: Loaded, secrets: Secrets, loader: Loader) -> None:
        self._settings = loaded.config.telemetry
        self.problem = ""
        self.sink: TelemetrySink | None = None
        self._sending: Any = None
        self._spans: Any = None
        self._loader = loader
        self._starting: asyncio.Task[None] | None = None
        if self._settings.endpoint is None:
            return
        if importlib.util.find_spec("opentelemetry.sdk") is None:
            where = loaded.where("telemetry", "endpoint")
            self.problem = (
                f"{where}: telemetry needs its extra; install it with "
                "pip install 'agent-host[telemetry]'. This run is not traced"
            )
            return

        def value(key: tuple[str, ...], text: str) -> str:
            return secrets.resolve(text, loaded.folder, loaded.at("telemetry", *key))

        self.sink = TelemetrySink()
        self._endpoint = value(("endpoint",), self._settings.endpoint)
        self._headers = {k: value(("headers", k), v) for k, v in self._settings.headers.items()}
        self._parent = secrets.environ.get("TRACEPARENT", "")

    def start(self) -> None:
        """Begin to import the SDK, after everything else."""
        if self.sink is not None:
            self._starting = asyncio.create_task(self._start(self.sink))

    async def _start(self, sink: TelemetrySink) -> None:
        sending = await self._loader.load(_SENDING)
        spans = await self._loader.load(_SPANS)
        settings = self._settings
        self._sending = sending.Sending(
            sending.Destination(
                endpoint=self._endpoint,
                headers=self._headers,
                service=settings.service,
                version=__version__,
                interval=settings.interval,
                max_spans=settings.max_spans,
            )
        )
        self._spans = spans.Spans(
            self._sending.tracer,
            self._sending.meter,
            content=settings.content,
            parent=self._parent,
        )
        sink.connect(self._spans.take)

    async def close(self) -> str:
        """Send what is left; return what went wrong, for people, or ""."""
        if self._starting is None:
            return ""
        await self._starting
        self._spans.close()
        failure: str = await asyncio.to_thread(self._sending.close)
        return f"telemetry was not sent: {failure}" if failure else ""
