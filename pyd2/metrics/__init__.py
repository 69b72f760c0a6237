"""Metrics for Prometheus: ``/metrics`` on an HTTP control socket, in the text format and in OpenMetrics."""
