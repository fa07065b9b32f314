"""The installable page that reads on the device itself: `write_page(bundle, out)`. docs/web.md tells what it does."""

from lucency.web.write import CSP, Page, page_files, write_page

__all__ = ["CSP", "Page", "page_files", "write_page"]
