"""Boards to begin with, made of the events that a project has: an overview, and one for banking.

What stands on a board is found by the names of events, in Chinese and English; where there is no
such event, a text says which to send. When a project's newest event is older than
:data:`STALE_MS` (history that was imported), ranges of time are dates before it, else they are
relative to today. Made again, a board uses the analyses that it made before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from zuji.engine.calendars import zone
from zuji.engine.errors import NotFound
from zuji.server.accounts.book import now_ms
from zuji.server.library import boards, saved
from zuji.server.library.boards import COLUMNS, Board, Card
from zuji.server.library.saved import Analysis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zuji.server.meta import Store

STALE_MS = 3 * 86_400_000
MOST_STEPS = 5

_WORDS: dict[str, tuple[str, str]] = {
    "overview": ("总览", "Overview"),
    "overview_about": (
        "日、周、月活跃用户，新用户，留存，同时在线，热门事件",
        "Daily, weekly and monthly active users, new users, retention, concurrency, top events",
    ),
    "banking": ("银行业务", "Banking"),
    "banking_about": (
        "登录、页面浏览、转账漏斗、营销活动参与",
        "Log-ins, page views, funnels of transfers, campaign participation",
    ),
    "dau": ("日活跃用户", "Daily active users"),
    "wau": ("周活跃用户", "Weekly active users"),
    "mau": ("月活跃用户", "Monthly active users"),
    "dau_trend": ("每日活跃用户", "Active users by day"),
    "wau_trend": ("每周活跃用户", "Active users by week"),
    "mau_trend": ("每月活跃用户", "Active users by month"),
    "new": ("新增、回访与流失", "New, returning and lost users"),
    "retention": ("七日留存", "Retention over seven days"),
    "concurrency": ("同时在线人数", "Users online at once"),
    "top": ("热门事件", "Top events"),
    "logins": ("登录", "Log-ins"),
    "login_users": ("登录用户", "Users who log in"),
    "login_share": ("人均登录次数", "Log-ins per user"),
    "view_share": ("人均浏览次数", "Page views per user"),
    "views": ("页面浏览", "Page views"),
    "view_users": ("浏览用户", "Users who view pages"),
    "transfer": ("转账漏斗", "Funnel of transfers"),
    "transfers": ("转账", "Transfers"),
    "campaign": ("营销活动参与", "Campaign participation"),
    "campaign_funnel": ("营销活动漏斗", "Funnel of campaigns"),
    "login_missing": (
        "还没有登录事件。发送名为 `login` 的事件后，重新建立本看板。",
        "No log-in events yet. Send events named `login`, then make this board again.",
    ),
    "view_missing": (
        "还没有页面浏览事件。发送名为 `$pageview` 的事件后，重新建立本看板。",
        "No page views yet. Send events named `$pageview`, then make this board again.",
    ),
    "transfer_missing": (
        "还没有转账事件。发送 `transfer_start`、`transfer_confirm`、`transfer_success` "
        "后，重新建立本看板。",
        "No transfers yet. Send `transfer_start`, `transfer_confirm` and `transfer_success`, then "
        "make this board again.",
    ),
    "campaign_missing": (
        "还没有营销活动事件。发送 `campaign_view`、`campaign_join` 后，重新建立本看板。",
        "No campaign events yet. Send `campaign_view` and `campaign_join`, then make this board "
        "again.",
    ),
}
_LOGIN = re.compile(r"log[ _-]?in|log[ _-]?on|sign[ _-]?in|登录|登陆", re.IGNORECASE)
_VIEW = re.compile(r"page[ _-]?view|screen[ _-]?view|viewscreen|浏览|访问", re.IGNORECASE)
_TRANSFER = re.compile(r"transfer|remit|转账|汇款", re.IGNORECASE)
_CAMPAIGN = re.compile(r"campaign|coupon|activity|promotion|活动|营销|优惠|抽奖", re.IGNORECASE)
_FAILED = re.compile(r"fail|error|cancel|reject|失败|取消|拒绝", re.IGNORECASE)
_STAGES = (
    re.compile(r"view|show|open|enter|page|contact|浏览|打开|进入|曝光|触达", re.IGNORECASE),
    re.compile(r"start|begin|click|input|join|发起|开始|点击|填写|报名", re.IGNORECASE),
    re.compile(r"submit|confirm|verify|提交|确认|验证", re.IGNORECASE),
    re.compile(
        r"success|done|complete|finish|redeem|redempt|reward|成功|完成|领取|核销", re.IGNORECASE
    ),
)
"""In the order of a funnel; what is of no stage stands in the middle."""


@dataclass(slots=True)
class _Making:
    """A board that is being made. ``shift``: days from today back to the newest event; None: it is
    fresh.
    """

    store: Store
    project: str
    language: str
    events: Sequence[Mapping[str, Any]]
    owner: str
    by: str
    folder: str
    last: datetime | None
    cards: list[Card] = field(default_factory=list)
    _x: int = 0
    _y: int = 0
    _high: int = 0

    def say(self, word: str) -> str:
        return _WORDS[word][0 if self.language == "zh" else 1]

    def time(self, days: int, grain: str, *, until: int = 0) -> dict[str, Any]:
        """The last ``days`` whole days that end ``until`` days before the newest."""
        if self.last is None:
            first, last = f"-{days + until}d", f"-{1 + until}d"
        else:
            first = (self.last - timedelta(days=days - 1 + until)).date().isoformat()
            last = (self.last - timedelta(days=until)).date().isoformat()
        return {"from": first, "to": last, "grain": grain}

    def place(self, kind: Any, w: int, h: int, **content: Any) -> None:
        if self._x + w > COLUMNS:
            self._x, self._y, self._high = 0, self._y + self._high, 0
        name = f"c{len(self.cards) + 1}"
        self.cards.append(Card(name, kind, self._x, self._y, w, h, **content))
        self._x += w
        self._high = max(self._high, h)

    def figure(self, word: str, query: dict[str, Any]) -> None:
        self.place("figure", 4, 2, query=query, view={"title": self.say(word)})

    def analysis(self, word: str, query: dict[str, Any], *, w: int = 6, h: int = 5) -> None:
        title = self.say(word)
        name = _saved_before(self, title, query)
        if name is None:
            asked = Analysis(title, query, self.folder)
            name = saved.make(self.store, self.project, asked, self.owner, self.by)["id"]
        self.place("analysis", w, h, saved=name)

    def text(self, word: str) -> None:
        self.place("text", COLUMNS, 2, text=self.say(word))

    def named(self, pattern: re.Pattern[str]) -> list[str]:
        """Events of such a name, those with most rows first."""
        return [one["name"] for one in self.events if pattern.search(one["name"])]


def _saved_before(making: _Making, title: str, query: dict[str, Any]) -> str | None:
    asked = saved.Asked(folder=making.folder, full=True)
    for one in saved.listed(making.store, making.project, asked)["saved"]:
        if one["name"] == title and one["query"] == query:
            return str(one["id"])
    return None


def _overview(making: _Making) -> None:
    users = {"series": [{"e": "*", "measure": "users"}]}
    for word, days in (("dau", 1), ("wau", 7), ("mau", 30)):
        making.figure(
            word,
            {
                "model": "event",
                "time": making.time(days, "all"),
                "compare": {"shift": f"-{days}d"},
                "body": users,
            },
        )
    for word, days, grain in (("dau_trend", 30, "day"), ("wau_trend", 84, "week")):
        making.analysis(word, {"model": "event", "time": making.time(days, grain), "body": users})
    making.analysis(
        "new",
        {
            "model": "lifecycle",
            "time": making.time(30, "day"),
            "body": {"event": {"e": "*"}},
        },
    )
    making.analysis(
        "retention",
        {
            "model": "retention",
            "time": making.time(14, "day"),
            "body": {"start": {"e": "*"}, "return": {"e": "*"}, "periods": 7},
        },
    )
    making.analysis(
        "concurrency",
        {"model": "concurrency", "time": making.time(7, "hour"), "body": {}},
    )
    making.analysis(
        "top",
        {
            "model": "event",
            "time": making.time(7, "all"),
            "by": [{"p": "event.$name"}],
            "top": {"n": 10, "other": True},
            "body": {"series": [{"e": "*", "measure": "count"}]},
        },
    )
    making.analysis(
        "mau_trend",
        {"model": "event", "time": making.time(365, "month"), "body": users},
        w=COLUMNS,
    )


def _banking(making: _Making) -> None:
    for pattern, word, people in (
        (_LOGIN, "logins", "login_users"),
        (_VIEW, "views", "view_users"),
    ):
        found = [name for name in making.named(pattern) if not _FAILED.search(name)]
        if not found:
            making.text("login_missing" if pattern is _LOGIN else "view_missing")
            continue
        events: Any = found[0] if len(found) == 1 else found
        making.figure(people, _event(making.time(7, "all"), events, "users", "-7d"))
        making.figure(word, _event(making.time(7, "all"), events, "count", "-7d"))
        each = "login_share" if pattern is _LOGIN else "view_share"
        making.figure(each, _event(making.time(7, "all"), events, "per_user", "-7d"))
        making.analysis(word, _trend(making, events), w=COLUMNS)
    for pattern, word, funnel, missing in (
        (_TRANSFER, "transfers", "transfer", "transfer_missing"),
        (_CAMPAIGN, "campaign", "campaign_funnel", "campaign_missing"),
    ):
        found = [name for name in making.named(pattern) if not _FAILED.search(name)]
        if not found:
            making.text(missing)
            continue
        if len(found) > 1:
            steps = [{"e": name} for name in sorted(found[:MOST_STEPS], key=_stage)]
            making.analysis(
                funnel,
                {
                    "model": "funnel",
                    "time": making.time(30, "day"),
                    "body": {"steps": steps, "window": {"n": 7, "unit": "day"}},
                },
            )
        making.analysis(word, _trend(making, found[:MOST_STEPS]))


def _event(time: dict[str, Any], events: Any, measure: str, shift: str) -> dict[str, Any]:
    return {
        "model": "event",
        "time": time,
        "compare": {"shift": shift},
        "body": {"series": [{"e": events, "measure": measure}]},
    }


def _trend(making: _Making, events: str | list[str]) -> dict[str, Any]:
    names = [events] if isinstance(events, str) else events
    series = [
        {"e": name, "measure": measure, "as": f"{name} {number}"}
        for name in names[:MOST_STEPS]
        for number, measure in (("#", "count"), ("@", "users"))
    ]
    return {"model": "event", "time": making.time(30, "day"), "body": {"series": series}}


def _stage(name: str) -> float:
    for place, pattern in reversed(list(enumerate(_STAGES))):
        if pattern.search(name):
            return place
    return 1.5


TEMPLATES: dict[str, Callable[[_Making], None]] = {"overview": _overview, "banking": _banking}


def told() -> list[dict[str, Any]]:
    """The templates there are: names, titles and what is on them, in both languages."""
    return [
        {
            "name": name,
            "title": dict(zip(("zh", "en"), _WORDS[name], strict=True)),
            "description": dict(zip(("zh", "en"), _WORDS[f"{name}_about"], strict=True)),
        }
        for name in TEMPLATES
    ]


def make(
    store: Store,
    project: str,
    template: str,
    language: str,
    events: Sequence[Mapping[str, Any]],
    *,
    tz: str = "UTC",
    owner: str = "",
    by: str = "",
) -> dict[str, Any]:
    """A board of a template. ``events``: of the project, those with most rows first. ``tz``: its
    zone, whose days count.

    Raises:
        NotFound: there is no such template.
    """
    fill = TEMPLATES.get(template)
    if fill is None:
        raise NotFound(f"there is no template {template[:40]!r}: {', '.join(TEMPLATES)}")
    last_ms = max((one["last_ms"] for one in events), default=now_ms())
    stale = now_ms() - last_ms > STALE_MS
    last = datetime.fromtimestamp(last_ms / 1000, zone(tz)) if stale else None
    title = _WORDS[template][0 if language == "zh" else 1]
    making = _Making(store, project, language, events, owner, by, title, last)
    fill(making)
    board = Board(title, cards=tuple(making.cards))
    return boards.make(store, project, board, owner, by)


def make_all(
    store: Store,
    project: str,
    language: str,
    events: Sequence[Mapping[str, Any]],
    by: str = "",
    *,
    tz: str = "UTC",
) -> None:
    """The boards of a new project."""
    for template in TEMPLATES:
        make(store, project, template, language, events, tz=tz, by=by)
