"""What compiled loops that are written as LLVM values share: their form, lines of cache and prefetch.

LLVM splits vectors of any number of lanes into whatever registers the processor has, so none is named. Indexes are not
checked: a caller's arrays hold what its indexes reach.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numba import types
from numba.core import cgutils
from numba.core.cgutils import ir  # type: ignore[attr-defined]  # llvmlite's, which numba brings along
from numba.extending import intrinsic
from numpy.typing import NDArray

LINE = 64
"""Bytes of a line of cache."""

Typed: TypeAlias = tuple[Any, Callable[..., Any]]
instruction: Callable[[Callable[..., Typed]], Callable[..., Any]] = intrinsic
"""Makes a function of a typing context and types one that is called from compiled code without the context."""


def pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Returns the address of `array[index]` (flat), `kind` being the type of the array."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def declared(builder: Any, kind: Any, name: str) -> Any:
    """Returns the LLVM function of a name, declared once a module."""
    return cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]  # numba's


@instruction
def prefetch(typing: Any, array: Any, index: Any) -> Typed:
    """Asks for the cache line of `array[index]` (flat), without waiting for it."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        i32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, i32, i32, i32])
        function = declared(builder, kind, "llvm.prefetch.p0")
        place = pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        builder.call(function, [builder.bitcast(place, cgutils.voidptr_t), i32(0), i32(3), i32(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), emit


def padded(dim: int) -> int:
    """Returns the bytes of a row of `dim` of them, up to the end of its last line of cache."""
    return -(-dim // LINE) * LINE


def aligned_zeros(num_rows: int, stride: int) -> NDArray[np.uint8]:
    """Returns zeros, [num_rows, stride] uint8, whose rows begin at cache lines where stride is a multiple of them."""
    buffer = np.zeros(num_rows * stride + LINE, dtype=np.uint8)
    first = -buffer.ctypes.data % LINE
    return buffer[first : first + num_rows * stride].reshape(num_rows, stride)
