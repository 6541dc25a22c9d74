"""The report of a bundle: a page that needs nothing but itself, the same every time.

Owns its plots and its words. Holds no wall-clock time and no payment.
"""

from training.report.facts import ReportFacts, earlier_windows, gather_facts
from training.report.page import render_report

__all__ = ["ReportFacts", "earlier_windows", "gather_facts", "render_report"]
