"""See the package."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from tests.console.bank import PROJECT
from tests.console.site import ADMINISTRATOR, PASSWORD, Site, chromium

HERE = Path(__file__).parent
PAGES = {
    "boards": "/boards",
    "board": "/boards/view?id={board}",
    "analysis": "/analysis/event",
    "funnel": "/analysis/funnel",
    "cohorts": "/cohorts",
    "users": "/users",
    "user": "/users/timeline?user_id=c0001",
    "events": "/data/events",
    "plan": "/data/plan",
    "accounts": "/settings/accounts",
    "status": "/settings/status",
}
LEAST = 95
"""Of both scores, but of performance on a telephone network."""


def signed_in(site):
    """A cookie and the token for changes."""
    body = json.dumps({"login": ADMINISTRATOR, "password": PASSWORD}).encode()
    headers = {"Content-Type": "application/json", "Origin": site.url}
    request = urllib.request.Request(f"{site.url}/v1/auth/sign-in", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        cookie = answer.headers["Set-Cookie"].split(";")[0]
        return cookie, json.load(answer)["csrf"]


def board(site, cookie, csrf):
    """A board of the template; its id."""
    request = urllib.request.Request(
        f"{site.url}/v1/board-templates/overview?project={PROJECT}",
        b'{"language": "zh"}',
        {
            "Content-Type": "application/json",
            "Origin": site.url,
            "Cookie": cookie,
            "X-Zuji-CSRF": csrf,
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["id"]


def addresses(site, names, made):
    """Of the pages."""
    found = {}
    for name in names:
        path = PAGES[name].format(board=made)
        found[name] = f"{site.url}{path}{'&' if '?' in path else '?'}project={PROJECT}"
    return found


def said(found):
    """A line about one page, and whether it is good."""
    metrics = found["metrics"]
    good = found["accessibility"] >= LEAST and not found.get("error")
    good = good and (found["performance"] >= LEAST or found["form"] == "mobile")
    print(
        f"{found['form']:8} {found['name']:9} performance {found['performance']:3} accessibility "
        f"{found['accessibility']:3}  first {metrics['first-contentful-paint']:.0f} ms, largest "
        f"{metrics['largest-contentful-paint']:.0f} ms, blocked "
        f"{metrics['total-blocking-time']:.0f} ms, shift {metrics['cumulative-layout-shift']:.3f}"
        f"{'' if good else '  <-- under ' + str(LEAST)}",
        flush=True,
    )
    for failed in found["failed"]:
        print(f"         {failed[:300]}")
    if found.get("error"):
        print(f"         {found['error']}")
    return good


def main():
    parser = argparse.ArgumentParser(prog="tests.console.lighthouse")
    parser.add_argument("--forms", default="desktop,wifi,mobile")
    parser.add_argument("--pages", default=",".join(PAGES))
    asked = parser.parse_args()
    if not (HERE / "node_modules").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=HERE, check=True)
    browser = chromium()
    if browser is None:
        sys.exit("lighthouse needs Chromium")
    with tempfile.TemporaryDirectory() as place:
        site = Site(Path(place) / "data")
        try:
            site.start()
            cookie, csrf = signed_in(site)
            made = board(site, cookie, csrf)
            job = {
                "chromium": browser,
                "cookie": cookie,
                "pages": addresses(site, asked.pages.split(","), made),
                "forms": asked.forms.split(","),
            }
            run = subprocess.Popen(
                ["node", "run.mjs"],
                cwd=HERE,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            run.stdin.write(json.dumps(job))
            run.stdin.close()
            results = [said(json.loads(line)) for line in run.stdout]
            failed = run.wait() or not results or not all(results)
        finally:
            site.stop()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
