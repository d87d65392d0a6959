"""A query as a sentence, in English and Chinese: what it asks, as an analyst would say it.

Each model says its part (``Envelope.says``) with the words of here; the envelope's part is the same
for all. Names of events, properties and values stand in quotes, so nothing in them reads as words
of the sentence. Functions and one immutable class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from zuji.engine.query.audience import (
    AllUsers,
    AnyUsers,
    Audience,
    Did,
    DidSequence,
    HasTag,
    InCohort,
    NotUsers,
    UserIs,
)
from zuji.engine.query.durations import Duration
from zuji.engine.query.filter_ast import AllOf, AnyOf, Filter, Leaf, Not
from zuji.engine.query.mark_names import COHORT, TAG, mark_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.query.audience import EventRef
    from zuji.engine.query.measures import Aggregated
    from zuji.engine.query.model import By, Compare, Envelope, Events

Language = Literal["en", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")

_UNITS: Final = {
    "second": ("second", "秒"),
    "minute": ("minute", "分钟"),
    "hour": ("hour", "小时"),
    "day": ("day", "天"),
    "week": ("week", "周"),
    "month": ("month", "个月"),
    "quarter": ("quarter", "个季度"),
    "year": ("year", "年"),
}
_GRAINS: Final = {
    "hour": ("hour by hour", "按小时"),
    "day": ("day by day", "按天"),
    "week": ("week by week", "按周"),
    "month": ("month by month", "按月"),
    "quarter": ("quarter by quarter", "按季度"),
    "year": ("year by year", "按年"),
    "all": ("as a whole", "整段时间"),
}
_OPS: Final = {
    "eq": ("is", "等于"),
    "ne": ("is not", "不等于"),
    "in": ("is one of", "属于"),
    "not_in": ("is none of", "不属于"),
    "gt": ("is more than", "大于"),
    "gte": ("is at least", "不小于"),
    "lt": ("is less than", "小于"),
    "lte": ("is at most", "不大于"),
    "between": ("is between", "介于"),
    "contains": ("contains", "包含"),
    "not_contains": ("does not contain", "不包含"),
    "starts_with": ("starts with", "开头是"),
    "ends_with": ("ends with", "结尾是"),
    "matches": ("matches", "匹配"),
    "is_set": ("has a value", "有值"),
    "is_not_set": ("has no value", "没有值"),
    "is_empty": ("is empty", "为空"),
    "within_last": ("lies within the last", "在最近"),
    "has": ("has the item", "含有"),
    "has_any": ("has any of", "含有任一"),
    "has_all": ("has all of", "同时含有"),
}
_MARKS: Final = {TAG: ("tag", "标签"), COHORT: ("cohort", "分群")}
_TIMES: Final = {
    "eq": ("exactly {} times", "恰好{}次"),
    "ne": ("other than {} times", "次数不等于{}"),
    "gt": ("more than {} times", "超过{}次"),
    "gte": ("at least {} times", "至少{}次"),
    "lt": ("fewer than {} times", "少于{}次"),
    "lte": ("at most {} times", "至多{}次"),
}
_AGGREGATES: Final = {
    "sum": ("the sum of {}", "{}之和"),
    "avg": ("the average of {}", "{}的平均值"),
    "min": ("the least {}", "{}的最小值"),
    "max": ("the greatest {}", "{}的最大值"),
    "median": ("the median of {}", "{}的中位数"),
    "distinct": ("the number of different values of {}", "{}的不同值个数"),
    "count": ("the number of times", "次数"),
    "users": ("the number of users", "用户数"),
    "per_user": ("the number of times a user", "人均次数"),
    "sessions": ("the number of sessions", "会话数"),
}
_SHIFTS: Final = {"d": "day", "w": "week", "M": "month", "q": "quarter", "y": "year"}


class Words:
    """The words of one language. ``words("day", "天")`` chooses."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._at = LANGUAGES.index(language)

    def __call__(self, english: str, chinese: str) -> str:
        """The text of this language."""
        return (english, chinese)[self._at]

    def of(self, pair: tuple[str, str]) -> str:
        """The text of this language out of a pair."""
        return pair[self._at]

    def quoted(self, name: object) -> str:
        """A name or value, told apart from the sentence."""
        if isinstance(name, bool):
            return self("true", "真") if name else self("false", "假")
        if isinstance(name, int | float):
            return f"{name:,}" if self.language == "en" else str(name)
        return self(f"“{name}”", f"「{name}」")

    def joined(self, parts: Sequence[str], *, any_of: bool = False) -> str:
        """``a, b and c`` (or ``or``)."""
        if len(parts) < 2:
            return "".join(parts)
        last = self(" or ", "或") if any_of else self(" and ", "和")
        return self(", ", "、").join(parts[:-1]) + last + parts[-1]

    def number(self, n: int, unit: str) -> str:
        """``7 days``."""
        english, chinese = _UNITS[unit]
        return self(f"{n:,} {english}{'' if n == 1 else 's'}", f"{n}{chinese}")

    def length(self, length: Duration) -> str:
        """A fixed length of time."""
        return self.number(length.n, length.unit)

    def property(self, p: str) -> str:
        """``“city”``, ``the user's “plan”``."""
        scope, _, name = p.partition(".")
        mark = mark_of(name) if scope == "user" else None
        if mark is not None:
            at = "" if mark.moment is None else self(f" as of {mark.moment}", f"在{mark.moment}时")
            kind = self.of(_MARKS[mark.prefix])
            return self(
                f"the {kind} {self.quoted(mark.name)}{at}", f"{kind}{self.quoted(mark.name)}{at}"
            )
        columns = {
            "$name": ("the event's name", "事件名"),
            "$time": ("the event's time", "事件时间"),
            "$received": ("the time of arrival", "接收时间"),
        }
        if scope == "event" and name in columns:
            return self.of(columns[name])
        if scope == "user":
            return self(f"the user's {self.quoted(name)}", f"用户的{self.quoted(name)}")
        return self.quoted(name)

    def events(self, events: Events | EventRef) -> str:
        """``“pay” or “move” where “amount” is at least 9``."""
        names = events.names
        if names is None:
            text = self("any event", "任意事件")
        else:
            text = self.joined([self.quoted(name) for name in names], any_of=True)
        if events.where is None:
            return text
        where = self.where(events.where)
        return self(f"{text} where {where}", f"{text}（满足{where}）")

    def where(self, node: Filter) -> str:
        """A filter."""
        if isinstance(node, Leaf):
            return self._leaf(node)
        if isinstance(node, Not):
            return self(f"not ({self.where(node.item)})", f"不满足（{self.where(node.item)}）")
        assert isinstance(node, AllOf | AnyOf)
        either = isinstance(node, AnyOf)
        if not node.items:
            return self("nothing", "无") if either else self("anything", "任意")
        parts = [
            f"({self.where(item)})" if isinstance(item, AllOf | AnyOf) else self.where(item)
            for item in node.items
        ]
        return self(" or ", "或").join(parts) if either else self(" and ", "且").join(parts)

    def _leaf(self, leaf: Leaf) -> str:
        op, p = self.of(_OPS[leaf.op]), self.property(leaf.p)
        return f"{p}{self(' ', '')}{op}{self._values(leaf.op, leaf.v)}"

    def _values(self, op: str, v: Any) -> str:
        space = self(" ", "")
        if v is None:
            return ""
        if isinstance(v, Duration):
            return space + self.length(v)
        if isinstance(v, tuple):
            shown = [self.quoted(each) for each in v[:5]]
            if len(v) > 5:
                shown.append(self(f"{len(v) - 5:,} more", f"另外{len(v) - 5}个"))
            return space + self.joined(shown, any_of=op not in ("between", "has_all"))
        return space + self.quoted(v)

    def measure(self, measure: Aggregated) -> str:
        """``the sum of “amount”``."""
        if measure.p is None:
            return self.of(_AGGREGATES[measure.op])
        p = self.property(measure.p)
        if measure.op in _AGGREGATES:
            return self.of(_AGGREGATES[measure.op]).format(p)
        n = measure.op[1:]
        return self(f"the {n}th percentile of {p}", f"{p}的{n}分位数")

    # -- the envelope --------------------------------------------------------------------------

    def audience(self, node: Audience) -> str:
        """``who did “pay” at least 3 times``: a clause about users."""
        if isinstance(node, AllUsers | AnyUsers):
            either = isinstance(node, AnyUsers)
            parts = [self.audience(item) for item in node.items]
            if not parts:
                return self("who are nobody", "（空）") if either else self("who are known", "已知")
            return self(" or ", "，或").join(parts) if either else self(" and ", "，且").join(parts)
        if isinstance(node, NotUsers):
            return self(
                f"who are not among those {self.audience(node.item)}",
                f"不属于（{self.audience(node.item)}）",
            )
        if isinstance(node, InCohort):
            cohort = self.quoted(node.name)
            if node.as_of is None:
                return self(f"in the cohort {cohort}", f"属于分群{cohort}")
            return self(
                f"in the cohort {cohort} as of {node.as_of}", f"截至{node.as_of}属于分群{cohort}"
            )
        if isinstance(node, HasTag):
            op, v = self.of(_OPS[node.op]), self._values(node.op, node.v)
            at = "" if node.as_of is None else self(f" as of {node.as_of}", f"在{node.as_of}时")
            return self(
                f"whose tag {self.quoted(node.name)}{at} {op}{v}",
                f"标签{self.quoted(node.name)}{at}{op}{v}",
            )
        if isinstance(node, UserIs):
            return self(f"of whom {self.where(node.where)}", self.where(node.where))
        if isinstance(node, Did):
            return self._did(node)
        assert isinstance(node, DidSequence)
        steps = self(", then ", "，然后").join(self.events(step) for step in node.steps)
        if node.within is None:
            return self(f"who did {steps}", f"依次做过{steps}")
        length = self.length(node.within)
        return self(f"who did {steps} within {length}", f"在{length}内依次做过{steps}")

    def _did(self, did: Did) -> str:
        times = self._times(did)
        events, when = self.events(did.events), ""
        if did.within is not None and did.within.length is not None:
            length = self.length(did.within.length)
            when = self(f" in the {length} before the end", f"在结束前{length}内")
        elif did.within is not None:
            when = self(
                f" from {did.within.from_} to {did.within.to}",
                f"在{did.within.from_}至{did.within.to}期间",
            )
        if did.negated:
            return self(f"who did not do {events} {times}{when}", f"没有{when}做过{events}{times}")
        return self(f"who did {events} {times}{when}", f"{when}做过{events}{times}")

    def _times(self, did: Did) -> str:
        """``at least 3 times``, or ``such that the sum of “amount” is at least 1,000``."""
        if did.measure is None:
            if isinstance(did.v, tuple):
                return self(f"{did.v[0]} to {did.v[1]} times", f"{did.v[0]}到{did.v[1]}次")
            return self.of(_TIMES[did.op]).format(did.v)
        aggregate, p = did.measure
        what = self.of(_AGGREGATES[aggregate]).format(self.property(p))
        asked = self.of(_OPS[did.op]) + self._values(did.op, did.v)
        return self(f"such that {what} {asked}", f"且{what}{asked}")

    def compared(self, compare: Compare) -> str:
        """``compared with 1 month before``."""
        if compare.audience is not None:
            users = self.audience(compare.audience)
            return self(f"compared with the users {users}", f"并与{users}的用户对比")
        assert compare.shift is not None
        before = self.number(int(compare.shift[1:-1]), _SHIFTS[compare.shift[-1]])
        return self(f"compared with {before} before", f"并与{before}前对比")

    def by(self, by: Sequence[By], n: int, other: bool) -> str:
        """``by “city” (the 20 greatest groups and the rest)``."""
        names = self.joined([self.property(each.p) for each in by])
        rest = self(" and the rest", "及其余") if other else ""
        return self(
            f"by {names} (the {n} greatest groups{rest})", f"按{names}分组（前{n}组{rest}）"
        )


def sentence(query: Envelope, language: Language, zone: str) -> str:
    """The query as one sentence. ``zone``: of its days."""
    words = Words(language)
    asked = query.says(words)
    if query.audience is not None:
        users = words.audience(query.audience)
        asked = words(f"Of the users {users}: {asked}", f"仅限{users}的用户：{asked}")
    parts = [asked]
    if query.where is not None:
        parts.append(
            words(
                f"counting only events where {words.where(query.where)}",
                f"只看{words.where(query.where)}的事件",
            )
        )
    if query.by:
        parts.append(words.by(query.by, query.top.n, query.top.other))
    time = query.time
    span = words(f"from {time.from_} to {time.to} ({zone})", f"从{time.from_}到{time.to}（{zone}）")
    parts.append(span + words(", ", "，") + words.of(_GRAINS[time.grain]))
    if query.compare is not None:
        parts.append(words.compared(query.compare))
    text = words("; ", "；").join(parts)
    return text[:1].upper() + text[1:] + words(".", "。")
