"""Two instructions for the walk along a graph that a plain loop does not compile to; see `index.simd`."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.cgutils import ir  # type: ignore[attr-defined] # llvmlite's, by way of numba

from index.simd import LINE, Typed, declared, instruction, pointer


@instruction
def byte_product(typing: Any, codes: Any, index: Any, query: Any, at: Any) -> Typed:
    """Returns the sum of the 64 products of uint8 `codes[index:]` (flat) with int8 `query[at:]`, exactly."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds, lanes, wide = signature.args, ir.VectorType(ir.IntType(8), LINE), ir.VectorType(ir.IntType(32), LINE)
        values = []
        for kind, array, place in ((kinds[0], *arguments[:2]), (kinds[2], *arguments[2:])):
            start = builder.bitcast(pointer(context, builder, kind, array, place), lanes.as_pointer())
            values.append(builder.load(start, align=1))
        products = builder.mul(builder.zext(values[0], wide), builder.sext(values[1], wide))
        total = ir.FunctionType(ir.IntType(32), [wide])
        name = f"llvm.vector.reduce.add.v{LINE}i32"
        return builder.call(declared(builder, total, name), [products])

    return types.int32(codes, types.intp, query, types.intp), emit


@instruction
def move_up(typing: Any, array: Any, first: Any, count: Any) -> Typed:
    """Moves `count` int64 values from `array[first]` on one place up."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        i64, flag = ir.IntType(64), ir.IntType(1)
        source = pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        target = builder.gep(source, [i64(1)])
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, cgutils.voidptr_t, i64, flag])
        function = declared(builder, kind, "llvm.memmove.p0.p0.i64")
        ends = [builder.bitcast(place, cgutils.voidptr_t) for place in (target, source)]
        builder.call(function, [*ends, builder.mul(arguments[2], i64(8)), flag(0)])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), emit
