"""What tools leave behind: lint, coverage and test reports, read with suspicion."""

from cogo_dagster.quality.reports.coverage import read_coverage
from cogo_dagster.quality.reports.files import ReportError
from cogo_dagster.quality.reports.junit import read_junit
from cogo_dagster.quality.reports.lint import read_lint
from cogo_dagster.quality.reports.report import Report, read_report

__all__ = ["Report", "ReportError", "read_coverage", "read_junit", "read_lint", "read_report"]
