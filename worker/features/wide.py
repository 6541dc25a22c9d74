"""Integers of 128 bits as pairs of words, high and low: for sums of squares."""

from __future__ import annotations

import numpy as np

from worker.features.kernel import kernel

_LOW_32 = np.uint64(0xFFFFFFFF)
_SHIFT_32 = np.uint64(32)


@kernel
def square(value: int) -> tuple[np.uint64, np.uint64]:
    """Return value**2."""
    magnitude = np.uint64(abs(value))
    return multiply(magnitude, magnitude)


@kernel
def multiply(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Multiply to 128 bits, by halves of 32 bits."""
    a_low, a_high = a & _LOW_32, a >> _SHIFT_32
    b_low, b_high = b & _LOW_32, b >> _SHIFT_32
    low = a_low * b_low
    middle = a_high * b_low + (low >> _SHIFT_32)
    carried = (middle & _LOW_32) + a_low * b_high
    high = a_high * b_high + (middle >> _SHIFT_32) + (carried >> _SHIFT_32)
    return high, (carried << _SHIFT_32) | (low & _LOW_32)


@kernel
def plus(
    high: np.uint64, low: np.uint64, more_high: np.uint64, more_low: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Add, modulo 2**128."""
    new_low = low + more_low
    carry = np.uint64(1) if new_low < low else np.uint64(0)
    return high + more_high + carry, new_low


@kernel
def minus(
    high: np.uint64, low: np.uint64, less_high: np.uint64, less_low: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Subtract, modulo 2**128."""
    borrow = np.uint64(1) if low < less_low else np.uint64(0)
    return high - less_high - borrow, low - less_low
