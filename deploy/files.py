"""Which files are made, and what they hold."""

from __future__ import annotations

from deploy.alerts import burn_alerts, objective_group, state_alerts
from deploy.dashboards import dashboard_text
from deploy.drift import drift_alerts, drift_groups
from deploy.rules import Alert, Clock, Group, real_time, rules_text
from deploy.source import source_group
from deploy.truth import truth_alerts, truth_groups


def alerts(clock: Clock = real_time) -> tuple[Alert, ...]:
    """Return every alert."""
    return (*state_alerts(clock), *burn_alerts(), *drift_alerts(), *truth_alerts())


def recordings(clock: Clock = real_time) -> tuple[Group, ...]:
    """Return every group of recording rules."""
    return (
        objective_group(clock),
        *drift_groups(clock),
        source_group(clock),
        *truth_groups(clock),
    )


def recording_text(clock: Clock = real_time) -> str:
    """Return the file of the recording rules."""
    return rules_text(recordings(clock), clock)


def alerts_text(clock: Clock = real_time) -> str:
    """Return the file of the alerts."""
    return rules_text([Group("fraud-alerts", "30s", alerts(clock))], clock)


def generated() -> dict[str, str]:
    """Return the text of each file, by its path below deploy/."""
    return {
        "prometheus/recording.rules.yml": recording_text(),
        "prometheus/alerts.rules.yml": alerts_text(),
        "grafana/dashboards/fraud-worker.json": dashboard_text(),
    }
