"""What surrounds a worker in operation: rules and alerts, dashboards, and their makers.

`python -m deploy` writes the files of Prometheus and Grafana again.
"""
