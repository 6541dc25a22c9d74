"""What the dashboard shows, row by row: titles, units and queries.

`$__rate_interval` fits the scrape interval and the zoom; `$job` and `$instance` are
chosen at the top. Series that were recorded over all workers have neither.
"""

from deploy.panels.model import DRIFT, QUALITY, RUNTIME
from deploy.panels.parts import Kind, Panel, Query, Row
from deploy.panels.traffic import ERRORS, KAFKA, SATURATION, SERVICE

__all__ = ["ROWS", "Kind", "Panel", "Query", "Row"]

ROWS = (SERVICE, SATURATION, KAFKA, ERRORS, DRIFT, QUALITY, RUNTIME)
