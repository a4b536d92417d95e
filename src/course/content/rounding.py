"""How many figures of a measured number are shown."""

import math


def three_figures(value: float) -> str:
    """Three figures are enough to read; JSON keeps the rest."""
    if math.isnan(value):
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}".removesuffix(".0") if value >= 10 else f"{value:.2g}"
