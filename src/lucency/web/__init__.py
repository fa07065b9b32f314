"""The installable page that reads on the device itself; see docs/web.md."""

from lucency.web.write import CSP, Page, page_files, write_page

__all__ = ["CSP", "Page", "page_files", "write_page"]
