"""The part of numba that this project calls: a decorated function keeps its type."""

from collections.abc import Callable
from typing import Any, TypeVar, overload

_Function = TypeVar("_Function", bound=Callable[..., Any])

@overload
def njit(function: _Function, /) -> _Function: ...
@overload
def njit(
    signature: object = ..., /, **options: bool | str
) -> Callable[[_Function], _Function]: ...
def prange(start: int, stop: int = ..., step: int = ..., /) -> range: ...
def __getattr__(name: str) -> Any: ...
