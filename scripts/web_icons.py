"""Make the page's icons again, from its icon.svg: `python scripts/web_icons.py`. Needs Chromium and playwright."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import sync_playwright

PAGE = Path(__file__).resolve().parents[1] / "src/lucency/web/page"


def main() -> None:
    """The two sizes that browsers ask for before they offer to install a page."""
    drawing = (PAGE / "icon.svg").read_text(encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for side in (192, 512):
            page = browser.new_page(viewport={"width": side, "height": side})
            page.set_content(f"<style>body{{margin:0}}svg{{display:block;width:{side}px}}</style>{drawing}")
            page.screenshot(path=PAGE / f"icon-{side}.png")
        browser.close()


if __name__ == "__main__":
    main()
