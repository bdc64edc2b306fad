"""Writes the report of a study: one HTML page that opens without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nas.report.pages import render

if TYPE_CHECKING:
    from nas.plugins import Registry
    from nas.store import Store


def write_report(store: Store, study: str, path: Path, registry: Registry) -> Path:
    """Writes the report of a stored study and returns its path.

    The page holds everything it shows: it asks for nothing from outside and runs no script. It appears whole
    or not at all. Raises UnknownNameError for a study the store does not hold and UsageError where the file
    cannot be written.
    """
    from nas.files import check_writable, whole_file

    path = Path(path)
    check_writable(path)
    page = report_html(store, study, registry)
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
    return path


def report_html(store: Store, study: str, registry: Registry) -> str:
    """The page as text."""
    from nas.report.compare_page import baseline_section
    from nas.report.content import read_content
    from nas.report.proxies import proxy_lines
    from nas.report.scatter import TIP_WIDTH
    from nas.report.sections import build_page

    content = read_content(store, study)
    page = build_page(content, registry)
    return render(
        "report.html",
        page=page,
        baseline=baseline_section(store, content.spec),
        proxies=proxy_lines(store, content.spec, registry),
        tip_width=TIP_WIDTH,
    )
