"""What machines may ask over HTTP: how the worker is, and what it measures."""

from worker.health.probes import Health, Pulse
from worker.health.server import Answer, Endpoint, Routes, metrics_routes

__all__ = ["Answer", "Endpoint", "Health", "Pulse", "Routes", "metrics_routes"]
