"""The chart of a report: horizontal bars on a logarithmic scale, one group a question, as SVG.

Drawn by hand: rectangles and text need no library, and the file is small and the same every time.
"""

from __future__ import annotations

import math
from html import escape
from typing import Any

from bench.peers import TITLES

COLOURS = {"zuji": "#0b7a5c", "clickhouse": "#d9a400", "duckdb": "#8a8f98", "polars": "#4a78b5"}
WIDTH, LEFT, RIGHT = 1060, 430, 90
BAR, GAP, TOP = 14, 14, 70


def bars(report: dict[str, Any]) -> str:
    """The chart, or nothing when no peer was asked."""
    groups = [(q["title"], _figures(q)) for q in report.get("queries", {}).values() if "zuji" in q]
    groups = [(title, figures) for title, figures in groups if len(figures) > 1]
    if not groups:
        return ""
    values = [ms for _, figures in groups for ms in figures.values()]
    low = math.floor(math.log10(max(min(values), 1e-3)))
    high = math.ceil(math.log10(max(values)))

    def x(ms: float) -> float:
        share = (math.log10(max(ms, 1e-3)) - low) / max(1, high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    height = TOP + sum(len(f) * BAR + GAP for _, f in groups) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="24" font-size="16" font-weight="600">{report["shape"]["rows"]:,} rows, '
        f"{report['threads']} threads each: milliseconds a query, less is better "
        "(logarithmic)</text>",
    ]
    parts += _legend(groups)
    for power in range(low, high + 1):
        at = x(10.0**power)
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 8}" y2="{height - 24}" '
            f'stroke="#ddd"/><text x="{at:.1f}" y="{height - 8}" text-anchor="middle">'
            f"{10.0**power:g} ms</text>"
        )
    y = TOP
    for title, figures in groups:
        middle = y + len(figures) * BAR / 2 + 4
        parts.append(
            f'<text x="{LEFT - 10}" y="{middle:.1f}" text-anchor="end">{escape(title)}</text>'
        )
        for engine, ms in figures.items():
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{max(1.0, x(ms) - LEFT):.1f}" height="{BAR - 3}" '
                f'fill="{COLOURS[engine]}"/><text x="{x(ms) + 5:.1f}" y="{y + BAR - 4}" '
                f'font-size="11">{_short(ms)}</text>'
            )
            y += BAR
        y += GAP
    return "\n".join([*parts, "</svg>", ""])


def _figures(question: dict[str, Any]) -> dict[str, float]:
    peers = question.get("peers", {})
    return {"zuji": question["zuji"]["ms"]} | {
        name: peers[name]["peer"]["ms"] for name in TITLES if name in peers
    }


def _short(ms: float) -> str:
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.1f}"


def _legend(groups: list[tuple[str, dict[str, float]]]) -> list[str]:
    engines = [e for e in TITLES if any(e in figures for _, figures in groups)]
    return [
        f'<rect x="{LEFT + 120 * i}" y="38" width="12" height="12" fill="{COLOURS[e]}"/>'
        f'<text x="{LEFT + 120 * i + 18}" y="49">{TITLES[e]}</text>'
        for i, e in enumerate(engines)
    ]
