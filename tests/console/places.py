"""The console's pages, and what is there when each is ready."""

from __future__ import annotations

MODELS = (
    "event", "funnel", "retention", "path", "distribution", "interval", "attribution", "session",
    "user_property", "clicks", "ltv", "lifecycle", "stickiness", "rfm", "concurrency",
)  # fmt: skip
PAGES = (
    "/boards",
    "/saved",
    *(f"/analysis/{model}" for model in MODELS),
    "/users",
    "/users/timeline?user_id=c0001",
    "/cohorts",
    "/tags",
    "/data/events",
    "/data/events?event=login",
    "/data/properties",
    "/data/properties?p=event.city",
    "/data/plan",
    "/data/quality",
    "/data/quarantine",
    "/data/live",
    "/settings/projects",
    "/settings/keys",
    "/settings/accounts",
    "/settings/status",
    "/settings/me",
    "/nowhere",
)
READY = {
    "/users/timeline?user_id=c0001": ".session",
    "/data/events": "table tbody tr",
    "/data/events?event=login": ".el-drawer .samples li",
    "/data/properties": "table tbody tr",
    "/data/properties?p=event.city": ".el-drawer table tbody tr",
    "/data/plan": "table tbody tr",
    "/data/quality": "table tbody tr",
    "/data/quarantine": "table tbody tr",
    "/settings/projects": "table tbody tr",
    "/settings/keys": "table tbody tr",
    "/settings/accounts": "table tbody tr",
    "/settings/status": "dl dd",
}
