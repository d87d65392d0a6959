"""Answers as charts in a terminal: sparklines, funnel bars, a retention heat grid.

Each function takes a result's columns and rows and gives a rich renderable, or None when there is
nothing to draw. Charts are text first: without colour, and in ASCII where the terminal has no
Unicode, they say the same. A value that is not known is a gap, never zero.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from rich.style import Style
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

MOST_LINES = 24
OTHER = "(other)"
NO_VALUE = "(none)"
_LEVELS = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS = "_.-:=+*#"
_EIGHTHS = " ▏▎▍▌▋▊▉"
_PALETTE = ("cyan", "magenta", "green", "yellow", "blue", "red", "bright_cyan", "bright_magenta")
_HEAT_LOW, _HEAT_HIGH = (232, 243, 252), (8, 69, 148)


def chart(
    model: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, width: int, unicode: bool
) -> RenderableType | None:
    """The chart of a result of that model, or None."""
    if not rows:
        return None
    table = [dict(zip(columns, row, strict=True)) for row in rows]
    if model == "event":
        return trend_chart(table, columns, width=width, unicode=unicode)
    if model == "funnel":
        return funnel_chart(table, columns, width=width, unicode=unicode)
    if model == "retention":
        return retention_chart(table, columns, width=width)
    return None


def group_columns(columns: Sequence[str]) -> list[str]:
    """The ``by`` columns of an answer: those named after a property."""
    return [c for c in columns if c.startswith(("event.", "user."))]


def group_label(row: dict[str, Any], by: Sequence[str]) -> str:
    """``Beijing · app``, ``(other)`` or ``(none)``."""
    if row.get("is_other"):
        return OTHER
    return " · ".join(NO_VALUE if row[c] is None else str(row[c]) for c in by)


def number(value: Any) -> str:
    """A number for people: thousands separated, at most two decimals, a dash when unknown."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        if value.is_integer() and abs(value) < 1e15:
            return f"{value:,.0f}"
        return f"{value:,.2f}" if abs(value) >= 0.01 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def percent(value: float | None) -> str:
    """A ratio 0..1 as per cent."""
    return "–" if value is None else f"{value * 100:.1f}%"


def bar(share: float, width: int, *, unicode: bool = True) -> str:
    """A bar of ``share`` (0..1) of ``width`` cells; anything above zero shows at least a sliver."""
    share = min(max(share, 0.0), 1.0)
    if not unicode:
        return "#" * max(round(share * width), 1 if share > 0 else 0)
    eighths = max(round(share * width * 8), 1 if share > 0 else 0)
    full, part = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[part] if part else "")


def sparkline(values: Sequence[float | None], width: int, *, unicode: bool = True) -> str:
    """One character a value, from the lowest to the highest of them; unknown is a gap.

    More values than ``width`` are averaged.
    """
    levels = _LEVELS if unicode else _ASCII_LEVELS
    points = _fitted(values, width)
    known = [v for v in points if v is not None]
    if not known:
        return " " * len(points)
    low, high = min(known), max(known)
    span = high - low
    return "".join(
        " "
        if v is None
        else levels[round((v - low) / span * (len(levels) - 1)) if span else len(levels) // 2]
        for v in points
    )


def trend_chart(
    table: list[dict[str, Any]], columns: Sequence[str], *, width: int, unicode: bool
) -> RenderableType | None:
    """A sparkline for each series and group, with its first and last bucket and its extremes."""
    by = group_columns(columns)
    lines: dict[tuple[str, str], dict[str, float | None]] = defaultdict(dict)
    buckets = list(dict.fromkeys(str(r["bucket"]) for r in table if r.get("bucket") is not None))
    several = len({r["series"] for r in table}) > 1
    for row in table:
        series = str(row["series"])
        if row.get("range") not in (None, "current"):
            series += f" ({row['range']})"
        lines[series, group_label(row, by) if by else ""][str(row.get("bucket"))] = row["value"]
    if not lines:
        return None
    if len(buckets) < 2:
        return _bars(
            [(_name(s, g, several), next(iter(v.values()))) for (s, g), v in lines.items()],
            width,
            unicode,
        )
    out = Table(box=None, pad_edge=False, show_edge=False)
    out.add_column("", no_wrap=True, max_width=28)
    room = max(10, width - 28 - 28)
    out.add_column(_ends(buckets[0], buckets[-1], min(room, len(buckets))), no_wrap=True)
    for title in ("min", "max"):
        out.add_column(title, justify="right", no_wrap=True, style="dim")
    for place, ((series, group), values) in enumerate(lines.items()):
        if place == MOST_LINES:
            out.add_row(Text(f"… {len(lines) - place} more", style="dim"))
            break
        ordered = [values.get(b) for b in buckets]
        known = [v for v in ordered if v is not None]
        colour = _PALETTE[place % len(_PALETTE)]
        out.add_row(
            Text(_name(series, group, several)),
            Text(sparkline(ordered, room, unicode=unicode), style=colour),
            number(min(known)) if known else "–",
            number(max(known)) if known else "–",
        )
    return out


def funnel_chart(
    table: list[dict[str, Any]], columns: Sequence[str], *, width: int, unicode: bool
) -> RenderableType | None:
    """A bar a step, as long as its share of step 1, one block a group."""
    by = group_columns(columns)
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in table:
        label = group_label(row, by) if by else ""
        if row.get("range") not in (None, "current"):
            label = f"{label} ({row['range']})".strip()
        if row.get("bucket") is not None:
            label = f"{label} {row['bucket']}".strip()
        groups[label].append(row)
    out = Table(box=None, pad_edge=False, show_edge=False)
    if len(groups) > 1:
        out.add_column(" · ".join(c.partition(".")[2] for c in by), no_wrap=True, max_width=20)
    out.add_column("step", no_wrap=True, max_width=28)
    out.add_column("", no_wrap=True)
    out.add_column("count", justify="right", no_wrap=True)
    out.add_column("of step 1", justify="right", no_wrap=True)
    out.add_column("of previous", justify="right", no_wrap=True)
    room = max(8, min(60, width - 34 - 28 - (20 if len(groups) > 1 else 0)))
    for place, (label, steps) in enumerate(groups.items()):
        if place == MOST_LINES:
            break
        colour = _PALETTE[place % len(_PALETTE)]
        for row in steps:
            first = row is steps[0]
            cells: list[RenderableType] = [Text(label if first else "")] if len(groups) > 1 else []
            filled = bar(row.get("rate") or 0.0, room, unicode=unicode)
            cells += [
                Text(f"{row['step']} {row['label']}"),
                Text(filled.ljust(room, "░" if unicode else "."), style=colour),
                number(row["count"]),
                percent(row.get("rate")),
                "" if first else percent(row.get("step_rate")),
            ]
            out.add_row(*cells)
    return out


def retention_chart(
    table: list[dict[str, Any]], columns: Sequence[str], *, width: int
) -> RenderableType | None:
    """A grid of cohorts by periods, the rate in each cell, darker for more."""
    by = group_columns(columns)
    grid: dict[tuple[str, str], dict[Any, dict[str, Any]]] = defaultdict(dict)
    periods: dict[Any, None] = {}
    for row in table:
        label = group_label(row, by) if by else ""
        grid[label, str(row["cohort"])][row["period"]] = row
        periods[row["period"]] = None
    shown = list(periods)[: max(1, (width - 24 - (16 if by else 0)) // 6)]
    out = Table(box=None, pad_edge=False, show_edge=False, padding=(0, 0))
    if by:
        out.add_column(" · ".join(c.partition(".")[2] for c in by), no_wrap=True, max_width=16)
    out.add_column("cohort", no_wrap=True)
    out.add_column("size", justify="right", no_wrap=True, min_width=8)
    for period in shown:
        out.add_column(str(period), justify="right", no_wrap=True, min_width=6)
    for place, ((label, cohort), cells) in enumerate(grid.items()):
        if place == MOST_LINES:
            out.add_row(*([""] if by else []), Text(f"… {len(grid) - place} more", style="dim"))
            break
        size = next(iter(cells.values())).get("size")
        line: list[RenderableType] = [Text(label)] if by else []
        line += [Text(cohort), Text(number(size))]
        for period in shown:
            cell = cells.get(period)
            rate = cell.get("rate") if cell else None
            if rate is None:
                line.append(Text("·" if cell else "", style="dim", justify="right"))
                continue
            complete = cell is None or cell.get("complete", True)
            text = f"{rate * 100:.0f}%" + ("" if complete else "*")
            line.append(Text(text.rjust(5) + " ", style=_heat(rate)))
        out.add_row(*line)
    return out


def _bars(pairs: list[tuple[str, float | None]], width: int, unicode: bool) -> RenderableType:
    out = Table(box=None, pad_edge=False, show_edge=False, show_header=False)
    out.add_column(no_wrap=True, max_width=28)
    out.add_column(no_wrap=True)
    out.add_column(justify="right", no_wrap=True)
    top = max((v for _, v in pairs if v is not None), default=0.0)
    room = max(8, min(60, width - 28 - 18))
    for place, (label, value) in enumerate(pairs[:MOST_LINES]):
        share = (value or 0.0) / top if top > 0 else 0.0
        out.add_row(
            Text(label),
            Text(bar(share, room, unicode=unicode), style=_PALETTE[place % len(_PALETTE)]),
            number(value),
        )
    return out


def _name(series: str, group: str, several: bool) -> str:
    if not group:
        return series
    return f"{series} · {group}" if several else group


def _ends(first: str, last: str, width: int) -> str:
    gap = width - len(first) - len(last)
    return first + " " * gap + last if gap > 0 else f"{first} … {last}"


def _fitted(values: Sequence[float | None], width: int) -> list[float | None]:
    if len(values) <= width:
        return list(values)
    fitted: list[float | None] = []
    for place in range(width):
        part = values[place * len(values) // width : (place + 1) * len(values) // width]
        known = [v for v in part if v is not None]
        fitted.append(sum(known) / len(known) if known else None)
    return fitted


def _heat(rate: float) -> Style:
    share = math.sqrt(min(max(rate, 0.0), 1.0))
    mixed = [round(a + (b - a) * share) for a, b in zip(_HEAT_LOW, _HEAT_HIGH, strict=True)]
    ink = "rgb(255,255,255)" if share > 0.5 else "rgb(10,30,60)"
    return Style.parse(f"{ink} on rgb({mixed[0]},{mixed[1]},{mixed[2]})")
