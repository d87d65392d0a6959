"""Pictures of the console for the docs: ``python -m tests.console.gallery [FOLDER]``.

A server with the bank's data is started, pages are opened at both widths and written to
``docs/img/console/`` as WebP (Chromium's own encoder). Needs a font with Chinese letters.
"""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.console.bank import PROJECT
from tests.console.building import answered, pick
from tests.console.places import READY
from tests.console.site import ADMINISTRATOR, Site, Visitor, chromium

FOLDER = Path(__file__).parents[2] / "docs" / "img" / "console"
QUALITY = 60
MOST_BYTES = 3_000_000
WIDE, NARROW = 1440, 390
TEMPLATES = {"board": "overview", "board-banking": "banking"}
PAGES = {
    "event": "/analysis/event",
    "funnel": "/analysis/funnel",
    "retention": "/analysis/retention",
    "path": "/analysis/path",
    "distribution": "/analysis/distribution",
    "session": "/analysis/session",
    "clicks": "/analysis/clicks",
    "lifecycle": "/analysis/lifecycle",
    "stickiness": "/analysis/stickiness",
    "user": "/users/timeline?user_id=c0001",
    "events": "/data/events",
    "plan": "/data/plan",
    "quality": "/data/quality",
    "quarantine": "/data/quarantine",
    "status": "/settings/status",
}
ALSO_NARROW = ("board", "funnel", "retention", "user", "events", "quality")
ALSO_DARK = ("event", "user")


def picture(who, path):
    """The page as WebP."""
    page = who.open(path)
    if path in READY:
        page.locator(READY[path]).first.wait_for()
    if path.startswith("/analysis/funnel"):
        page.get_by_role("button", name="添加步骤").click()
        steps = ("transfer_start", "transfer_confirm", "transfer_done")
        for place, name in enumerate(steps):
            pick(page, place, name)
        answered(page, {"steps": [{"e": name} for name in steps]})
    page.wait_for_timeout(800)  # charts draw themselves in; a picture of the half is no good
    session = who.context.new_cdp_session(page)
    shot = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    return base64.b64decode(shot["data"])


def made_board(browser, site, template):
    """Makes a board of a template, as somebody does who clicks; its id."""
    who = Visitor(browser, site, ADMINISTRATOR)
    ask = who.context.request
    csrf = ask.get("/v1/auth/me").json()["csrf"]
    answer = ask.post(
        f"/v1/board-templates/{template}?project={PROJECT}",
        data={"language": "zh"},
        headers={"X-Zuji-CSRF": csrf, "Origin": site.url},
    )
    assert answer.ok, answer.text()
    made = answer.json()["id"]
    who.close()
    return made


def main(folder):
    from playwright.sync_api import sync_playwright

    fonts = subprocess.run(["fc-list", ":lang=zh"], capture_output=True, text=True, check=False)
    if not fonts.stdout:
        raise SystemExit("no font with Chinese letters: apt-get install fontconfig fonts-noto-cjk")
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        site = Site(Path(place) / "data")
        browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            site.start()
            boards = {
                name: f"/boards/{made_board(browser, site, template)}"
                for name, template in TEMPLATES.items()
            }
            pages = PAGES | boards
            for suffix, names, how in (
                ("", pages, {"width": WIDE}),
                ("-narrow", ALSO_NARROW, {"width": NARROW}),
                ("-dark", ALSO_DARK, {"width": WIDE, "dark": True}),
            ):
                who = Visitor(browser, site, ADMINISTRATOR, **how)
                for name in names:
                    data = picture(who, pages[name])
                    (folder / f"{name}{suffix}.webp").write_bytes(data)
                    total += len(data)
                    print(f"{name}{suffix}.webp {len(data):,}")
                who.close()
        finally:
            site.stop()
            browser.close()
    assert total <= MOST_BYTES, f"{total:,} bytes are too much for the docs"
    print(f"{total:,} bytes in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
