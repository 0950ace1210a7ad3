"""A few instructions for the compiled loops of LSH, written as LLVM values: vectors of 16 lanes, prefetch, atomics.

The vectoriser of the compiler leaves these loops scalar (measured: a transform of 16 vectors of length 64 takes 5.0
microseconds as a plain loop and 0.2 this way). LLVM splits the lanes into whatever registers the processor has. Every
lane does the same float32 operations in the same order, so results do not depend on that split.

Indexes are not checked: a caller's arrays hold what its indexes reach.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.cgutils import ir  # type: ignore[attr-defined]  # llvmlite's, which numba brings along

from index.simd import LINE, Typed, declared, instruction, pointer

LANES = 16
"""Rotations that are computed side by side."""

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)


def _as_vector(builder: Any, place: Any, shape: Any) -> Any:
    return builder.bitcast(place, shape.as_pointer())


def _constant(builder: Any, value: Any, shape: Any) -> Any:
    """Returns a vector with `value` in every lane."""
    i32 = ir.IntType(32)
    one = builder.insert_element(ir.Constant(shape, ir.Undefined), value, i32(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(i32, shape.count), [0] * shape.count))


@instruction
def butterflies(typing: Any, array: Any, index: Any, step: Any) -> Typed:
    """Replaces the lanes a, b, c, d at `index`, `index + step`, ... by two steps of the fast Hadamard transform."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places, index = [], arguments[1]
        for _ in range(4):
            places.append(
                _as_vector(builder, pointer(context, builder, signature.args[0], arguments[0], index), _FLOATS)
            )
            index = builder.add(index, arguments[2])
        a, b, c, d = (builder.load(place, align=4) for place in places)
        ab, ab_, cd, cd_ = builder.fadd(a, b), builder.fsub(a, b), builder.fadd(c, d), builder.fsub(c, d)
        values = (builder.fadd(ab, cd), builder.fadd(ab_, cd_), builder.fsub(ab, cd), builder.fsub(ab_, cd_))
        for place, value in zip(places, values, strict=True):
            builder.store(value, place, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), emit


@instruction
def butterfly(typing: Any, array: Any, index: Any, step: Any) -> Typed:
    """Replaces the lanes a, b at `index` and `index + step` by a + b and a - b."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, second = (
            _as_vector(builder, pointer(context, builder, signature.args[0], arguments[0], index), _FLOATS)
            for index in (arguments[1], builder.add(arguments[1], arguments[2]))
        )
        a, b = builder.load(first, align=4), builder.load(second, align=4)
        builder.store(builder.fadd(a, b), first, align=4)
        builder.store(builder.fsub(a, b), second, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), emit


@instruction
def multiply(typing: Any, array: Any, factors: Any, index: Any) -> Typed:
    """Multiplies the lanes of `array` at `index` by those of `factors`."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _as_vector(builder, pointer(context, builder, signature.args[0], arguments[0], arguments[2]), _FLOATS)
        factor = _as_vector(builder, pointer(context, builder, signature.args[1], arguments[1], arguments[2]), _FLOATS)
        value = builder.fmul(builder.load(place, align=4), builder.load(factor, align=4))
        builder.store(value, place, align=4)
        return context.get_dummy_value()

    return types.void(array, factors, types.intp), emit


def _magnitude(builder: Any, value: Any) -> Any:
    mask = _constant(builder, ir.IntType(32)(0x7FFFFFFF), _INTS)
    return builder.bitcast(builder.and_(builder.bitcast(value, _INTS), mask), _FLOATS)


@instruction
def keep_largest(typing: Any, array: Any, d: Any, tops: Any, places: Any) -> Typed:
    """Takes coordinate `d` of each lane into its largest magnitude so far; NaN is passed over.

    `places` holds 2 d + 1 where the largest is negative, else 2 d; the first of equals stays.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds, i32, zero = signature.args, ir.IntType(32), cgutils.intp_t(0)
        at = builder.mul(arguments[1], cgutils.intp_t(LANES))
        value = builder.load(
            _as_vector(builder, pointer(context, builder, kinds[0], arguments[0], at), _FLOATS), align=4
        )
        top = _as_vector(builder, pointer(context, builder, kinds[2], arguments[2], zero), _FLOATS)
        place = _as_vector(builder, pointer(context, builder, kinds[3], arguments[3], zero), _INTS)
        old, size = builder.load(top, align=4), _magnitude(builder, value)
        narrow = builder.trunc(arguments[1], i32)
        larger = builder.fcmp_ordered(">", size, old)
        sign = builder.lshr(builder.bitcast(value, _INTS), _constant(builder, i32(31), _INTS))
        code = builder.or_(_constant(builder, builder.shl(narrow, i32(1)), _INTS), sign)
        builder.store(builder.select(larger, size, old), top, align=4)
        builder.store(builder.select(larger, code, builder.load(place, align=4)), place, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, tops, places), emit


@instruction
def lanes_within(typing: Any, array: Any, d: Any, tops: Any, reach: Any) -> Typed:
    """Returns a bit for each lane whose coordinate `d` is less than `reach` short of the lane's largest magnitude."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds, zero = signature.args, cgutils.intp_t(0)
        at = builder.mul(arguments[1], cgutils.intp_t(LANES))
        value = builder.load(
            _as_vector(builder, pointer(context, builder, kinds[0], arguments[0], at), _FLOATS), align=4
        )
        top = builder.load(
            _as_vector(builder, pointer(context, builder, kinds[2], arguments[2], zero), _FLOATS), align=4
        )
        gap = builder.fsub(top, _magnitude(builder, value))
        near = builder.fcmp_ordered("<", gap, _constant(builder, arguments[3], _FLOATS))
        bits = builder.bitcast(near, ir.IntType(LANES))
        return builder.zext(bits, ir.IntType(64))

    return types.int64(array, types.intp, tops, types.float32), emit


@instruction
def byte_products(typing: Any, rows: Any, index: Any, query: Any, at: Any) -> Typed:
    """Returns the sum of the 64 products of int8 `rows[index:]` (flat) with int16 `query[at:]`, both within 127."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # Two products of values within 127 fit into int16 together.
        kinds, half = signature.args, LINE // 2
        bytes_, shorts = ir.VectorType(ir.IntType(8), half), ir.VectorType(ir.IntType(16), half)
        products = []
        for offset in (0, half):
            first = builder.add(arguments[1], cgutils.intp_t(offset))
            second = builder.add(arguments[3], cgutils.intp_t(offset))
            row = builder.load(
                _as_vector(builder, pointer(context, builder, kinds[0], arguments[0], first), bytes_), align=1
            )
            other = builder.load(
                _as_vector(builder, pointer(context, builder, kinds[2], arguments[2], second), shorts), align=2
            )
            products.append(builder.mul(builder.sext(row, shorts), other))
        wide = ir.VectorType(ir.IntType(32), half)
        terms = builder.sext(builder.add(*products), wide)
        kind = ir.FunctionType(ir.IntType(32), [wide])
        function = declared(builder, kind, f"llvm.vector.reduce.add.v{half}i32")
        return builder.call(function, [terms])

    return types.int32(rows, types.intp, query, types.intp), emit


@instruction
def bit_count(typing: Any, bits: Any) -> Typed:
    """Returns how many bits of an int64 are set."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), emit


@instruction
def lowest_bit(typing: Any, bits: Any) -> Typed:
    """Returns the place of the lowest set bit of an int64 that is not zero."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.int64(types.int64), emit


@instruction
def load_acquire(typing: Any, array: Any, index: Any) -> Typed:
    """Returns `array[index]` (flat, int32); what its writer wrote before it is seen from here on."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(pointer(context, builder, signature.args[0], *arguments), "acquire", 4)

    return types.int32(array, types.intp), emit


@instruction
def store_release(typing: Any, array: Any, index: Any, value: Any) -> Typed:
    """Sets `array[index]` (flat, int32); whoever reads it with `load_acquire` sees all that was written before."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        builder.store_atomic(arguments[2], place, "release", 4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int32), emit


@instruction
def rising_bits(typing: Any, score: Any) -> Typed:
    """Returns a number of 32 bits, as int64, for a float32 that is not NaN: greater scores have greater ones.

    Equal scores have equal ones, zeros of either sign included.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        i32, i64 = ir.IntType(32), ir.IntType(64)
        bits = builder.bitcast(builder.fadd(arguments[0], ir.Constant(ir.FloatType(), 0.0)), i32)
        negative = builder.icmp_signed("<", bits, i32(0))
        rising = builder.select(negative, builder.not_(bits), builder.or_(bits, i32(0x80000000)))
        return builder.zext(rising, i64)

    return types.int64(types.float32), emit
