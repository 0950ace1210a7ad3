"""Three instructions for the walk along a graph that a plain loop does not compile to.

They are LLVM values without a name of a processor: LLVM splits 64 lanes into whatever registers there are. Indexes are
not checked: a caller's arrays hold what its indexes reach.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.cgutils import ir  # type: ignore[attr-defined] # llvmlite's, by way of numba
from numba.extending import intrinsic

LINE = 64
"""Bytes of a line of cache, and of one `byte_product`."""

_Typed = tuple[Any, Callable[..., Any]]


def _instruction(emit: Callable[..., _Typed]) -> Any:
    return intrinsic(emit)


def _function(builder: Any, kind: Any, name: str) -> Any:
    return cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call] # of numba


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


@_instruction
def prefetch(typing: Any, array: Any, index: Any) -> _Typed:
    """Asks for the cache line of `array[index]` (flat), without waiting for it."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        i32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, i32, i32, i32])
        function = _function(builder, kind, "llvm.prefetch.p0")
        pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        builder.call(function, [builder.bitcast(pointer, cgutils.voidptr_t), i32(0), i32(3), i32(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), emit


@_instruction
def byte_product(typing: Any, codes: Any, index: Any, query: Any, at: Any) -> _Typed:
    """Returns the sum of the 64 products of uint8 `codes[index:]` (flat) with int8 `query[at:]`, exactly."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds, lanes, wide = signature.args, ir.VectorType(ir.IntType(8), LINE), ir.VectorType(ir.IntType(32), LINE)
        values = []
        for kind, array, place in ((kinds[0], *arguments[:2]), (kinds[2], *arguments[2:])):
            pointer = builder.bitcast(_pointer(context, builder, kind, array, place), lanes.as_pointer())
            values.append(builder.load(pointer, align=1))
        products = builder.mul(builder.zext(values[0], wide), builder.sext(values[1], wide))
        total = ir.FunctionType(ir.IntType(32), [wide])
        name = f"llvm.vector.reduce.add.v{LINE}i32"
        return builder.call(_function(builder, total, name), [products])

    return types.int32(codes, types.intp, query, types.intp), emit


@_instruction
def move_up(typing: Any, array: Any, first: Any, count: Any) -> _Typed:
    """Moves `count` int64 values from `array[first]` on one place up."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        i64, flag = ir.IntType(64), ir.IntType(1)
        source = _pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        target = builder.gep(source, [i64(1)])
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, cgutils.voidptr_t, i64, flag])
        function = _function(builder, kind, "llvm.memmove.p0.p0.i64")
        ends = [builder.bitcast(place, cgutils.voidptr_t) for place in (target, source)]
        builder.call(function, [*ends, builder.mul(arguments[2], i64(8)), flag(0)])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), emit
