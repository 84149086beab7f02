"""How the inner loops are compiled: by numba, once per machine, without Python's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

F = Callable[..., Any]


def inlined(function: F) -> F:
    """Compile a function into the kernels that call it: no passing of arrays, for what runs per sample."""
    return njit(function, nogil=True, error_model="numpy", inline="always")


def small(function: F) -> F:
    """Compile a function of numbers and tuples, of which the kernels call many."""
    return njit(function, nogil=True, error_model="numpy")


def kernel(function: F) -> F:
    """Compile a function on its first call and keep the machine code for the next start.

    numba keeps it beside the source or, where that is read-only, in the user's cache folder. Where neither
    can be written (a locked-down container), the function is compiled anew in each process, which takes some
    seconds.
    """
    try:
        return njit(function, nogil=True, error_model="numpy", cache=True)
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        return njit(function, nogil=True, error_model="numpy")
