"""Numbers as people read them: shares, sizes, times, small numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

NOTHING = "–"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def share(value: float | None) -> str:
    """95.8 %"""
    return NOTHING if value is None else f"{100 * value:.1f} %"


def interval(ends: Sequence[float] | None) -> str:
    """93.3–98.3"""
    return "" if not ends else f"{100 * ends[0]:.1f}–{100 * ends[1]:.1f}"


def size(count: float) -> str:
    """11.5 MB"""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def seconds(value: float | None) -> str:
    """3 min 20 s"""
    if value is None:
        return NOTHING
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def number(value: float | int | None) -> str:
    """2,592 or 0.0214 or 4.2 × 10⁻⁷"""
    if value is None:
        return NOTHING
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) < 1e-3:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa} × {power(10.0 ** int(exponent))}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def power(value: float) -> str:
    """10⁻⁷, of a power of ten."""
    return f"10{str(round(math.log10(value))).translate(_RAISED)}"
