"""The bank that the console's tests look at: 42 days of 400 people, the same in every run but for
the days, which end today (the console's ranges are relative). Sent through the collector, as an
app would; then a strict plan, and events that it refuses.
"""

from __future__ import annotations

import json
import random
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Shanghai")
PROJECT = "bank"
PEOPLE = 400
DAYS = 42
CITIES = ("杭州", "宁波", "温州", "绍兴", "台州", "丽水")
CHANNELS = ("app", "web", "wechat")
PAGES = ("/home", "/loan", "/transfer", "/wealth", "/me")
ELEMENTS = {
    "/home": (("main>a.transfer", "转账", 180, 220), ("main>a.loan", "贷款", 520, 220)),
    "/loan": (("main>a.apply", "立即申请", 700, 310), ("nav>a.back", "返回", 60, 40)),
    "/wealth": (("main>a.buy", "购买", 690, 420), ("nav>a.back", "返回", 60, 40)),
}
CAMPAIGNS = ("春耕贷", "开门红", "理财节")
BATCH = 1_000
STRANGE = 24
"""Events that the plan refuses."""


def journeys(now: datetime) -> list[dict]:
    """All events, oldest first."""
    found: list[dict] = []
    for number in range(PEOPLE):
        found += _life(random.Random(number), number, now)
    found.sort(key=lambda one: one["time"])
    return found


def _life(draw: random.Random, number: int, now: datetime) -> list[dict]:
    user, device = f"c{number:04d}", f"phone-{number:04d}"
    channel, city = draw.choice(CHANNELS), draw.choice(CITIES)
    first = draw.randrange(DAYS)
    keen = draw.choice((0.12, 0.3, 0.6))
    midnight = now.astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    events: list[dict] = []
    for back in range(DAYS - first, -1, -1):
        if back != DAYS - first and draw.random() > keen:
            continue
        at = midnight - timedelta(days=back) + timedelta(minutes=draw.randrange(7 * 60, 23 * 60))
        new = not events
        for name, properties in _visit(draw, channel, city, new=new):
            at += timedelta(seconds=draw.randrange(5, 90))
            if at >= now:
                break
            person = {"device_id": device} if new and name == "page_view" else {"user_id": user}
            both = {"device_id": device, **person} if name == "login" else person
            events.append(
                {
                    "event": name,
                    "time": int(at.timestamp() * 1000),
                    **both,
                    "properties": {"channel": channel, "city": city, **properties},
                }
            )
    return events


def _visit(draw: random.Random, channel: str, city: str, *, new: bool):
    version = draw.choice(("6.1.0", "6.2.0", "6.2.1"))
    app = {"$app_version": version, "$lib": "zuji-web", "$lib_version": "1.0.0"}
    if new:
        yield "page_view", {"$url_path": "/home", **app}
    yield "login", {"way": draw.choice(("face", "password", "code")), **app}
    for page in draw.sample(PAGES, draw.randrange(1, 4)):
        yield "page_view", {"$url_path": page, **app}
        if page in ELEMENTS:
            path, text, x, y = draw.choice(ELEMENTS[page])
            yield (
                "$WebClick",
                {
                    "$url_path": page,
                    "$element_path": path,
                    "$element_content": text,
                    "$page_x": x + draw.randrange(-30, 30),
                    "$page_y": y + draw.randrange(-8, 8),
                    "$viewport_width": 1400,
                },
            )
    if draw.random() < 0.25:
        yield "campaign_open", {"campaign": draw.choice(CAMPAIGNS), **app}
    if draw.random() < 0.5:
        yield "transfer_start", {**app}
        if draw.random() < 0.8:
            yield "transfer_confirm", {**app}
            if draw.random() < 0.9:
                amount = round(draw.lognormvariate(6, 1), 2)
                yield "transfer_done", {"amount": amount, **app}
    if draw.random() < 0.12:
        product = draw.choice(("定期", "基金", "国债"))
        yield "buy", {"product": product, "amount": draw.randrange(1, 50) * 1000.0, **app}


def profiles(now: datetime) -> list[dict]:
    """A record for each person."""
    found = []
    time_ms = int((now - timedelta(days=DAYS)).timestamp() * 1000)
    for number in range(PEOPLE):
        draw = random.Random(number + 10_000)
        found.append(
            {
                "type": "profile_set",
                "time": time_ms,
                "user_id": f"c{number:04d}",
                "properties": {
                    "level": draw.choice(("普通", "金卡", "白金")),
                    "age": draw.randrange(18, 80),
                    "branch": draw.choice(("城关支行", "新区支行", "滨江支行")),
                    "$identity_mobile": f"138{number:08d}",
                },
            }
        )
    return found


TITLES = {
    "login": "登录", "page_view": "浏览页面", "transfer_start": "开始转账",
    "transfer_confirm": "确认转账", "transfer_done": "转账成功", "buy": "购买理财",
    "campaign_open": "打开活动",
}  # fmt: skip
PLAN = {
    "mode": "strict",
    "events": [{"name": name, "title": title} for name, title in TITLES.items()],
    "properties": [
        {"name": "amount", "kind": "float64", "title": "金额", "owner": "支付组"},
        {"name": "city", "kind": "string", "title": "城市", "values": list(CITIES)},
        {"name": "channel", "kind": "string", "title": "渠道"},
        {"name": "way", "kind": "string", "title": "登录方式"},
        {"name": "campaign", "kind": "string", "title": "活动"},
        {"name": "product", "kind": "string", "title": "产品"},
        {"name": "id_card", "kind": "string", "title": "身份证号", "sensitive": "tokenise"},
        {"name": "pin", "sensitive": "refuse"},
    ],
    "user_properties": [
        {"name": "level", "kind": "string", "title": "客户等级"},
        {"name": "age", "kind": "int64", "title": "年龄"},
        {"name": "branch", "kind": "string", "title": "开户网点"},
    ],
}  # fmt: skip


def strange(now: datetime) -> list[dict]:
    """Events that the plan refuses: an old name, words for a number, another city."""
    app = {"$app_version": "6.0.0", "$lib": "zuji-android", "$lib_version": "0.9.0"}
    kinds = (
        ("TransferDone", {"amount": 12.5}),
        ("transfer_done", {"amount": "很多"}),
        ("login", {"city": "北京", "way": "face"}),
        ("login", {"colour": "red", "way": "face"}),
    )
    found = []
    for number in range(STRANGE):
        name, properties = kinds[number % len(kinds)]
        found.append(
            {
                "event": name,
                "time": int(now.timestamp() * 1000) - number * 60_000,
                "user_id": f"c{number:04d}",
                "properties": {**properties, **app},
            }
        )
    return found


def send(collector: str, key: str, events: list[dict]) -> dict:
    """Sends a batch; its answer."""
    return _request(f"{collector}/v1/events", key, "POST", {"events": events})


def fill(collector: str, api: str, write: str, admin: str, now: datetime | None = None) -> None:
    """Sends everything. ``write``, ``admin``: keys of the project."""
    now = now or datetime.now(UTC)
    everything = profiles(now) + journeys(now)
    for first in range(0, len(everything), BATCH):
        answer = send(collector, write, everything[first : first + BATCH])
        assert not answer["rejected"], answer["rejected"][:2]
    _request(f"{api}/v1/plan?note=第一版", admin, "PUT", {**PLAN, "mode": "warn"})
    _request(f"{api}/v1/plan?note=开始严格校验", admin, "PUT", PLAN)
    until = time.monotonic() + 60
    while not send(collector, write, strange(now))["rejected"]:
        assert time.monotonic() < until, "the plan refused nothing"
        time.sleep(0.2)


def _request(url: str, key: str, method: str, body: dict) -> dict:
    split = url.split("?note=")
    if len(split) == 2:
        url = f"{split[0]}?note={urllib.request.quote(split[1])}"
    data = json.dumps(body, ensure_ascii=False).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
