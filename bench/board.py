"""A board of twelve charts in Chromium: ``python -m bench.board --data DIR --project NAME``.

``DIR/NAME`` is a project with the events of :mod:`bench.generate` (``make bench-board`` makes one
in ``.data/bench``); a ``--dev`` server of its own opens it. Times are from the beginning of the
navigation until the last card is drawn, seen at the frame after which nothing is busy:

- *first*: a browser that never saw the console, answers that the server never gave;
- *again*: the same browser (its files are kept), another board, so other answers;
- *unchanged*: the same address once more, nothing changed;
- *returned*: within the console, from the list of boards, by a click;
- *edit*: on the page of a funnel, from the key that takes another event for a step until its
  new picture is drawn; the wait of the page before it asks is in it.

Boards differ by their last day, so that no answer can be remembered from the board before.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
import zlib
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.serving import environment
from bench.shape import Shape, event_name
from bench.zuji_side import PROJECT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

FIRST_DAY = date.fromisoformat(Shape(1).first_day)
DAYS = Shape(1).days
GOALS_MS = {"first": 2_000, "again": 2_000, "unchanged": 1_000, "returned": 1_000, "edit": 500}
WINDOW = {"n": 7, "unit": "day"}
CARDS = 12
_DRAWN = """(cards) => {
  const all = document.querySelectorAll('.board-card')
  if (all.length !== cards) return false
  for (const one of all) {
    if (one.getAttribute('aria-busy') === 'true' || one.querySelector('.el-skeleton')) return false
    const picture = one.querySelector('.picture')
    if (!picture || !picture.firstElementChild) return false
    const chart = picture.querySelector('.chart')
    if (chart && !chart.querySelector('canvas')) return false
  }
  return performance.now()
}"""
_EDITED = """() => {
  const text = () => document.querySelector('.told .picture')?.textContent
  const before = text()
  window.edited = new Promise((done) => {
    let began = 0
    addEventListener('keydown', (event) => {
      if (event.key === 'Enter') began = event.timeStamp
    }, {capture: true})
    const look = () => {
      const busy = document.querySelector('.told').getAttribute('aria-busy') === 'true'
      const stale = document.querySelector('.answer.stale')
      if (!began || busy || stale || text() === before) return requestAnimationFrame(look)
      requestAnimationFrame(() => done(performance.now() - began))
    }
    look()
  })
}"""


def cards(end: date) -> list[dict[str, Any]]:
    """What stands on the board: the templates' questions and some of a growth team's."""
    day = {"from": FIRST_DAY.isoformat(), "to": end.isoformat(), "grain": "day"}
    week = {**day, "from": (end - timedelta(days=6)).isoformat()}
    e = [{"e": event_name(k)} for k in range(10)]
    users, count = {"measure": "users"}, {"measure": "count"}
    both = [{**e[4], **count, "as": "#"}, {**e[4], **users, "as": "@"}]
    five = [e[k] for k in (3, 4, 5, 6, 7)]
    every = {"e": "*"}
    queries: list[dict[str, Any]] = [
        {"model": "event", "time": day, "body": {"series": [{**every, **users}]}},
        {"model": "lifecycle", "time": day, "body": {"event": every}},
        {"model": "event", "time": day, "body": {"series": both}},
        {"model": "funnel", "time": day, "body": {"steps": five[::2], "window": WINDOW}},
        {"model": "funnel", "time": day, "body": {"steps": five, "window": WINDOW}},
        {
            "model": "retention",
            "time": day,
            "body": {"start": every, "return": every, "periods": 7},
        },
        {
            "model": "event",
            "time": {**week, "grain": "all"},
            "by": [{"p": "event.$name"}],
            "top": {"n": 10, "other": True},
            "body": {"series": [{**every, **count}]},
        },
        {
            "model": "event",
            "time": day,
            "by": [{"p": "event.city"}],
            "top": {"n": 5, "other": True},
            "body": {"series": [{**e[5], **users}]},
        },
        {"model": "concurrency", "time": {**week, "grain": "hour"}, "body": {}},
        {"model": "stickiness", "time": day, "body": {"event": e[5]}},
        {
            "model": "distribution",
            "time": {**day, "grain": "all"},
            "body": {**e[5], "measure": "times"},
        },
        {
            "model": "event",
            "time": day,
            "body": {"series": [{**e[7], "measure": {"sum": "event.amount"}}]},
        },
    ]  # fmt: skip
    return [
        {
            "id": f"c{k}",
            "kind": "analysis",
            "x": 6 * (k % 2),
            "y": 5 * (k // 2),
            "w": 6,
            "h": 5,
            "query": query,
            "view": {"title": f"{k + 1}"},
        }
        for k, query in enumerate(queries)
    ]


class Console:
    """A ``--dev`` server on a folder of projects, and what it is asked to keep."""

    def __init__(self, data: Path, project: str, path: str) -> None:
        self.project = project
        known = environment()
        if path:
            known["PYTHONPATH"] = f"{path}:{known['PYTHONPATH']}"
        command = [sys.executable, "-m", "zuji", "serve", "--dev", "--data", str(data)]
        self._process = subprocess.Popen(
            [*command, "--collect", "", "--api", "127.0.0.1:0", "--set", f"projects={project}"],
            env=known,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = ""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if line.startswith("zuji: queries at "):
                self.url = line.split()[3].rstrip(",")
            if " serving " in line:
                self._made: list[str] = []
                return
        raise RuntimeError("the server did not start")

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """An answer of the API."""
        request = urllib.request.Request(
            f"{self.url}{path}?project={self.project}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            data = answer.read()
        return json.loads(data) if data else None

    def board(self, end: date) -> str:
        """Makes a board; its address."""
        made = self.send("POST", "/v1/boards", {"name": str(end), "cards": cards(end)})
        self._made.append(made["id"])
        return f"{self.url}/boards/view?project={self.project}&id={made['id']}"

    def close(self) -> None:
        """Takes away what was made, and ends the server."""
        for name in self._made:
            self.send("DELETE", f"/v1/boards/{name}")
        self._process.terminate()
        self._process.wait(20)


def drawn(page: Page, address: str) -> float:
    """Opens a board; ms until all its cards are drawn."""
    page.goto(address, wait_until="commit")
    found = page.wait_for_function(_DRAWN, arg=CARDS, polling="raf", timeout=30_000)
    return float(found.json_value())


def returned(page: Page, name: str) -> float:
    """From the list of boards to the one that was looked at; ms since the click."""
    page.locator("nav a[href^='/boards']").click()
    page.evaluate("addEventListener('click', (e) => { window.began = e.timeStamp }, true)")
    page.get_by_role("link", name=name, exact=True).click()
    found = page.wait_for_function(_DRAWN, arg=CARDS, polling="raf", timeout=30_000)
    return float(found.json_value()) - float(page.evaluate("window.began"))


def edited(page: Page, console: Console, rounds: int) -> list[float]:
    """Changes a step of a funnel again and again; ms of each."""
    steps = [{"e": event_name(k)} for k in (3, 5, 7)]
    day = {"from": FIRST_DAY.isoformat(), "to": _day(0).isoformat(), "grain": "day"}
    query = {"model": "funnel", "time": day, "body": {"steps": steps, "window": WINDOW}}
    text = zlib.compress(json.dumps({"q": query, "v": {}}).encode())
    packed = base64.urlsafe_b64encode(text).decode().rstrip("=")
    page.goto(f"{console.url}/analysis/funnel?project={console.project}#q={packed}")
    page.locator(".told .picture").wait_for()
    page.locator("section[aria-busy=false].told").wait_for()
    found = []
    for k in range(rounds):
        picks = page.locator("section.ask button.pick").filter(has_text="event_")
        picks.nth(1).click()
        box = page.locator("input[aria-autocomplete=list]").locator("visible=true")
        box.fill(event_name(8 + k))
        page.locator(".list [role=option]").locator("visible=true").first.wait_for()
        page.evaluate(_EDITED)
        box.press("Enter")
        found.append(float(page.evaluate("() => window.edited")))
    return found


def _day(back: int) -> date:
    return FIRST_DAY + timedelta(days=DAYS - 1 - back)


def _context(browser: Browser) -> BrowserContext:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="zh-CN")
    context.set_default_timeout(30_000)
    return context


def run(data: Path, project: str, rounds: int, path: str = "") -> dict[str, list[float]]:
    """All times in ms. ``path``: of another build of the console, for comparing."""
    from playwright.sync_api import sync_playwright

    found: dict[str, list[float]] = {name: [] for name in GOALS_MS}
    console = Console(data, project, path)
    with sync_playwright() as driver:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            for k in range(rounds):
                context = _context(browser)
                page = context.new_page()
                found["first"].append(drawn(page, console.board(_day(2 * k))))
                page.goto("about:blank")
                other = console.board(_day(2 * k + 1))
                found["again"].append(drawn(page, other))
                page.goto("about:blank")
                found["unchanged"].append(drawn(page, other))
                found["returned"].append(returned(page, str(_day(2 * k + 1))))
                context.close()
            context = _context(browser)
            found["edit"] = edited(context.new_page(), console, max(5, rounds))
        finally:
            browser.close()
            console.close()
    return found


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="bench.board")
    parser.add_argument("--data", type=Path, default=Path(".data/bench/20000000/zuji"))
    parser.add_argument("--project", default=PROJECT)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--path", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / asked.project  # the server's database must not stay with the data
        place.symlink_to((asked.data / asked.project).resolve())
        found = run(Path(folder), asked.project, asked.rounds, asked.path)
    for name, times in found.items():
        each = " ".join(f"{ms:.0f}" for ms in times)
        print(f"{name:10} median {statistics.median(times):5.0f} ms, goal {GOALS_MS[name]}: {each}")
    return int(any(statistics.median(times) > GOALS_MS[name] for name, times in found.items()))


if __name__ == "__main__":
    sys.exit(main())
