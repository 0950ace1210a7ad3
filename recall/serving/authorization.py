"""Who may call what, and how much at once: every call passes here before it gets a thread.

In this order: whether the token is known, whether it allows the method, whether the queue has room, and whether the
name has requests left. A refusal is answered by a thread of its own without reading the request, so it comes at once
however busy the handlers are; health and reflection have threads of their own too. What passes waits for a handler,
and is not computed where its deadline has passed by then, or the caller has gone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import grpc

from recall.errors import (
    DeadlineError,
    OverloadedError,
    PermissionDeniedError,
    QuotaError,
    UnauthenticatedError,
)
from recall.serving.admission import BoundedExecutor
from recall.serving.decoding import Unreadable
from recall.serving.methods import MethodRule, Scope, served_rules
from recall.serving.reload import Reloaded
from recall.serving.status import aborting, refusal_of
from recall.serving.tokens import MAX_TOKEN_LENGTH, Caller, TokenTable
from recall.serving.write_requests import MAX_BATCH

MAX_REFUSALS_AT_ONCE = 1_024
"""Refused calls whose answer is under way; beyond that gRPC itself refuses."""

_HEADER = "authorization"
_SCHEME = "bearer"
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic in its stubs alone
_Answer: TypeAlias = Callable[..., Any]


class _InPool:
    """A behaviour with threads of its own, which wrappers keep that copy its `__dict__`, as functools.wraps does."""

    def __init__(self, answer: _Answer, pool: ThreadPoolExecutor) -> None:
        functools.update_wrapper(self, answer)  # for what else gRPC looks for
        self._answer = answer
        self.experimental_thread_pool = pool  # the name that gRPC looks for

    def __call__(self, request: Any, context: grpc.ServicerContext, *send: Callable[[Any], None]) -> Any:
        return self._answer(request, context, *send)


class Guard(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs alone
    """Refuses calls, or lets them wait for a handler."""

    def __init__(self, queue: BoundedExecutor, tokens: Reloaded[TokenTable] | None) -> None:
        """Guards the handlers that `queue` runs.

        Args:
            queue: Threads of the handlers.
            tokens: The tokens that are taken; None takes calls without one.
        """
        self._rules = served_rules()
        self._queue, self._tokens = queue, tokens
        self._refusals = ThreadPoolExecutor(1, "recall-refusal")
        self._aside = ThreadPoolExecutor(8, "recall-aside")  # health and reflection
        self._overloaded = refusal_of(OverloadedError("the server has as many calls as it takes; try again later"))

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], _Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """Returns the handler of a call, or one that refuses it."""
        rule = self._rules.get(handler_call_details.method)
        if rule is not None and rule.scope is None:
            return self._set_aside(continuation(handler_call_details))
        try:
            caller = self._caller(handler_call_details)
            handler = continuation(handler_call_details)
            if handler is None:
                return None
            _refuse_forbidden(rule, caller, handler_call_details.method)
            if handler.unary_unary is None:
                return self._set_aside(handler)
            if self._queue.is_full:
                return self._refusing(self._overloaded)
            if caller is not None and caller.quota is not None:
                caller.quota.take()
        except (UnauthenticatedError, PermissionDeniedError, QuotaError) as error:
            return self._refusing(refusal_of(error))
        return _queued(handler, rule, caller)

    def _caller(self, details: grpc.HandlerCallDetails) -> Caller | None:
        """Returns who calls, None where nobody is asked."""
        if self._tokens is None:
            return None
        caller = self._tokens.value.caller(_bearer_token(details.invocation_metadata))
        if caller is None:
            raise UnauthenticatedError("the token is not known to this server; ask its operator for one")
        return caller

    def _refusing(self, status: grpc.Status) -> _Handler:
        def refuse(requests: Any, context: grpc.ServicerContext) -> None:
            context.abort_with_status(status)

        # As if the request were a stream, for gRPC reads no message before it calls such a handler.
        return grpc.stream_unary_rpc_method_handler(_InPool(refuse, self._refusals))

    def _set_aside(self, handler: _Handler | None) -> _Handler | None:
        if handler is None:
            return None
        codecs = (handler.request_deserializer, handler.response_serializer)
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(_InPool(handler.unary_unary, self._aside), *codecs)
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(_InPool(handler.unary_stream, self._aside), *codecs)
        assert handler.stream_stream is not None
        return grpc.stream_stream_rpc_method_handler(_InPool(handler.stream_stream, self._aside), *codecs)


def _bearer_token(metadata: Sequence[tuple[str, str | bytes]]) -> str:
    """Returns the token of a call. No message quotes what came.

    Raises:
        UnauthenticatedError: There is none, or no single one.
    """
    values = [value for key, value in metadata if key == _HEADER]
    if len(values) != 1:
        what = "no token" if not values else f"{len(values)} values of {_HEADER!r}"
        raise UnauthenticatedError(f"the call carries {what}; send one, as metadata '{_HEADER}: Bearer TOKEN'")
    value = values[0]
    scheme, _, token = value.partition(" ") if isinstance(value, str) else ("", "", "")
    if scheme.lower() != _SCHEME or not token or len(token) > MAX_TOKEN_LENGTH or not token.isascii():
        raise UnauthenticatedError(f"{_HEADER!r} carries no token of this server; send 'Bearer TOKEN'")
    return token


def _refuse_forbidden(rule: MethodRule | None, caller: Caller | None, method: str) -> None:
    if rule is None or rule.scope is None:  # nothing is served that the table does not name
        raise PermissionDeniedError(f"{method} has no rule of who may call it, so nobody may")
    if caller is not None and rule.scope not in caller.scopes:
        does = "writes" if rule.scope is Scope.WRITE else "reads"
        allowed = " and ".join(sorted(scope.value for scope in caller.scopes))
        raise PermissionDeniedError(
            f"{method} {does}, and the token of {caller.name!r} allows to {allowed} only; call with another token"
        )


def _queued(handler: _Handler, rule: MethodRule | None, caller: Caller | None) -> _Handler:
    """Returns the handler as it runs once it has a thread."""
    answer = handler.unary_unary
    assert answer is not None
    quota = None if caller is None else caller.quota
    entries = None if rule is None else rule.entries

    def answer_in_time(request: Any, context: grpc.ServicerContext) -> Any:
        with aborting(context):
            _refuse_late(context)
        if quota is not None and entries is not None and not isinstance(request, Unreadable):
            num_entries = min(len(getattr(request, entries)), MAX_BATCH)  # longer ones are refused
            quota.charge(max(num_entries - 1, 0))
        return answer(request, context)

    return grpc.unary_unary_rpc_method_handler(
        answer_in_time, handler.request_deserializer, handler.response_serializer
    )


def _refuse_late(context: grpc.ServicerContext) -> None:
    left = context.time_remaining()
    if (left is not None and left <= 0) or not context.is_active():
        raise DeadlineError("the deadline passed, or the caller left, while the call waited; nothing was done")
