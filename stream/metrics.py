"""What `/metrics` tells Prometheus."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from models.errors import PhotoError
from stream.types import STAGES, FrameReport

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
STAGE_BUCKETS_S: Final = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.08),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 1.0),
)
ENROLMENT_BUCKETS_S: Final = (0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_OUTCOMES: Final = ("sent", "late", "dropped")

Told = list[dict[str, Any]]
"""Counters on their way to another process: {name, help, type, samples [[name, labels, value]]}, ready for msgpack."""


class Metrics:
    """The counters of one server; each has its own registry, so that two servers in one process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._stage_s = Histogram(
            "visavis_stage_seconds",
            "Time that each stage of a frame took, `total` from the newest sound packet to the sent frame",
            ["stage"],
            buckets=STAGE_BUCKETS_S,
            registry=self._registry,
        )
        self._frames = Counter("visavis_frames", "Frames by what became of them", ["outcome"], registry=self._registry)
        self._sessions = Gauge("visavis_sessions", "Sessions that are open now", registry=self._registry)
        self._offers = Counter("visavis_offers", "Offers by what became of them", ["outcome"], registry=self._registry)
        self._enrolments = Counter(
            "visavis_enrolments", "Photos by what became of them", ["outcome"], registry=self._registry
        )
        self._enrolment_s = Histogram(
            "visavis_enrolment_seconds",
            "Time from a photo to its features, queueing included",
            buckets=ENROLMENT_BUCKETS_S,
            registry=self._registry,
        )
        self._expired = Gauge(
            "visavis_expired_steps", "Model steps dropped because they were late already", registry=self._registry
        )
        self._broken = Gauge(
            "visavis_broken_frames",
            "Frames that the model spoiled and the one before replaced",
            registry=self._registry,
        )
        for stage in STAGES:
            self._stage_s.labels(stage)
        for outcome in _OUTCOMES:
            self._frames.labels(outcome)

    def on_frame(self, report: FrameReport) -> None:
        """Count one frame of any session."""
        self._frames.labels(report.outcome).inc()
        for stage, took_ms in report.stages_ms.items():
            self._stage_s.labels(stage).observe(took_ms / 1000)

    def on_offer(self, outcome: str) -> None:
        """Count one answered or refused offer: "opened" or an error code."""
        self._offers.labels(outcome).inc()

    def on_enrolled(self, took_s: float, error: Exception | None) -> None:
        """Count one photo."""
        self._enrolment_s.observe(took_s)
        if error is None:
            self._enrolments.labels("enrolled").inc()
        else:
            self._enrolments.labels(error.reason if isinstance(error, PhotoError) else "failed").inc()

    def watch(self, sessions: Callable[[], int], expired: Callable[[], int], broken: Callable[[], int]) -> None:
        """Ask these at every scrape."""
        self._sessions.set_function(sessions)
        self._expired.set_function(expired)
        self._broken.set_function(broken)

    def text(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self._registry)

    def told(self) -> Told:
        """The same for another process, which makes one page of several by `one_page`."""
        return [
            {
                "name": metric.name,
                "help": metric.documentation,
                "type": metric.type,
                "samples": [[sample.name, sample.labels, sample.value] for sample in metric.samples],
            }
            for metric in self._registry.collect()
        ]


def one_page(by_process: Mapping[str, Told]) -> bytes:
    """One page of the counters of several processes, each sample labelled with its `process`.

    They are not added up: one that is started anew begins at 0, which Prometheus sees only in a series of its own.
    """
    metrics: dict[str, Metric] = {}
    for process, told in by_process.items():
        for family in told:
            metric = metrics.setdefault(family["name"], Metric(family["name"], family["help"], family["type"]))
            for name, labels, value in family["samples"]:
                metric.add_sample(name, {**labels, "process": process}, value)
    registry = CollectorRegistry()
    registry.register(_Fixed(metrics.values()))
    return generate_latest(registry)


class _Fixed(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics
