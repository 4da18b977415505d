"""What the server counts about itself, in the format of Prometheus."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "HEAD", "POST", "OPTIONS")
BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)  # seconds


class Metrics:
    """The counters of one server; each has a registry of its own, so that one process may hold several."""

    def __init__(self):
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "kuzushiji_requests", "Answered requests", ["route", "method", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "kuzushiji_request_seconds", "From request to answer", ["route"], buckets=BUCKETS, registry=self.registry
        )
        self.recognition_seconds = Histogram(
            "kuzushiji_recognition_seconds",
            "Drawing and reading one character, without waiting",
            ["model", "input"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.under_way = Gauge(
            "kuzushiji_requests_under_way", "Recognitions under way or waiting", registry=self.registry
        )


class CountRequests:
    """Middleware that counts and times each request by its route, never by the path that a client made up."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it when it has been answered."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        start = time.perf_counter()
        try:
            await self.app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", None) or "other"
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.metrics.requests.labels(route, method, status).inc()
            self.metrics.request_seconds.labels(route).observe(time.perf_counter() - start)
