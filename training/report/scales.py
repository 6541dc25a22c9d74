"""Axes: where a value lies between 0 and 1, and which values are written beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high`.

    Attributes
    ----------
    stretch
        Makes the axis's own units, in which distances are equal, of values.
    ticks
        Values with the texts that stand beside them.
    """

    low: float
    high: float
    stretch: Callable[[float], float]
    ticks: Sequence[tuple[float, str]]

    @property
    def shown(self) -> list[tuple[float, str]]:
        """The ticks that lie on the axis."""
        return [tick for tick in self.ticks if self.low <= tick[0] <= self.high]

    def at(self, value: float) -> float:
        """Return where a value lies: 0 at the low end, 1 at the high one."""
        inside = min(max(value, self.low), self.high)
        low, high = self.stretch(self.low), self.stretch(self.high)
        return (self.stretch(inside) - low) / (high - low)


def linear(
    low: float, high: float, write: Callable[[float], str], *, count: int = 5
) -> Scale:
    """Return an axis with about `count` round ticks.

    >>> [text for _, text in linear(0, 0.62, "{:.1f}".format).ticks]
    ['0.0', '0.2', '0.4', '0.6']
    """
    step = _round_step((high - low) / count)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [number * step for number in range(first, last + 1)]
    return Scale(low, high, float, [(value, write(value)) for value in values])


def logarithmic(low: float, high: float, write: Callable[[float], str]) -> Scale:
    """Return a logarithmic axis with a tick at each power of ten, if there are three.

    >>> [text for _, text in logarithmic(1, 400, "{:g}".format).ticks]
    ['1', '10', '100']
    """
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    factors = (1,) if len(powers) > 2 else (1, 2, 5)
    values = [
        factor * 10.0**power
        for power in range(math.floor(math.log10(low)), powers.stop)
        for factor in factors
    ]
    ticks = [(value, write(value)) for value in values if low <= value <= high]
    return Scale(low, high, math.log10, ticks)


def log_odds(low: float, high: float) -> Scale:
    """Return an axis for probabilities that gives room to small and to large ones."""
    values = (1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
    ticks = [(value, percent(value)) for value in values if low <= value <= high]
    return Scale(low, high, lambda p: math.log(p / (1 - p)), ticks)


def percent(value: float) -> str:
    """Write a share.

    >>> percent(0.001), percent(0.25), percent(1)
    ('0.1 %', '25 %', '100 %')
    """
    return f"{value * 100:.6g} %"


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(f * power for f in (1, 2, 2.5, 5, 10) if f * power >= rough * 0.999)
