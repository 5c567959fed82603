"""index.html: every suite on one page that needs no server, no network and, for the tables themselves, no script."""

from __future__ import annotations

from benchmarks.report.page.document import page, write_page
from benchmarks.report.page.suite import PageSuite

__all__ = ["PageSuite", "page", "write_page"]
