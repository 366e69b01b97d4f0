"""Parses lint, coverage and test reports, which are untrusted input."""

from cogo_dagster.quality.reports.files import ReportError
from cogo_dagster.quality.reports.report import GateReport, attempt_report, read_report

__all__ = ["GateReport", "ReportError", "attempt_report", "read_report"]
