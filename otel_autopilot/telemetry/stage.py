"""`stage`: one name for a decorator and a context manager around the stages of one's own pipeline."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind
from opentelemetry.util.types import AttributeValue

from otel_autopilot.telemetry import event_loop, instruments, names
from otel_autopilot.telemetry.spans import fail, tracer

P = ParamSpec("P")
R = TypeVar("R")


class stage(AbstractContextManager[Span]):  # used as a decorator and as a context manager, like contextlib's
    """A span around a stage, with its duration histogram.

        @stage("ingestion")
        async def ingest(mail): ...

        with stage("digest", attributes={"digest.items": 3}) as span: ...

    Works on functions, methods, classmethods, staticmethods and `functools.partial` objects: plain, coroutine, generator and
    async generator. The span of a generator lasts until it is exhausted, closed or fails; between two items the caller's
    context is its own again.

    Arguments:
        name: name of the span and value of ``autopilot.stage``; one of email, ingestion, digest, delivery, or your own.
        root: start a trace of its own, the email's (kind CONSUMER, ``autopilot.email.duration`` in place of the stage's).
        workflow: value of ``autopilot.workflow``.
        attributes: further attributes of the span.
        links: span links.
        carrier: where the parent's context is read from (W3C ``traceparent``), instead of the current one.

    An exception is recorded on the span, sets its status and ``error.type``, and is raised again; an exception whose
    ``rejected`` attribute is true gives the outcome "rejected". Without `configure` and without another SDK set up it is
    the API's no-op.
    """

    def __init__(
        self,
        name: str,
        *,
        root: bool = False,
        workflow: str = "default",
        attributes: Mapping[str, AttributeValue] | None = None,
        links: Sequence[Link] = (),
        carrier: Mapping[str, str] | None = None,
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"stage: expected a name such as 'ingestion', got {type(name).__qualname__}")
        if not name:
            raise ValueError("stage: expected a name such as 'ingestion', got ''")
        self.name = name
        self._root = root
        self._workflow = workflow
        self._attributes = dict(attributes or {})
        self._links = links
        self._carrier = carrier
        self._entered: list[tuple[object, _Measured, Any]] = []

    def __enter__(self) -> Span:
        measured = _Measured(self)
        self._entered.append((_owner(), measured, otel_context.attach(measured.context)))
        return measured.span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None) -> None:
        owner = _owner()
        # Several tasks may be inside of one stage at once, and leave it in another order.
        mine = (index for index, entry in reversed(list(enumerate(self._entered))) if entry[0] is owner or entry[0] == owner)
        _, measured, token = self._entered.pop(next(mine, -1))
        otel_context.detach(token)
        measured.end(error)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace_back)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function, or what classmethod and staticmethod made of one."""
        if isinstance(function, (classmethod, staticmethod)):
            return cast(Callable[P, R], type(function)(self(function.__func__)))
        return cast(Callable[P, R], _wrap(self, function))


def _owner() -> object:
    """The task that runs, or else the thread."""
    try:
        return asyncio.current_task() or threading.get_ident()
    except RuntimeError:
        return threading.get_ident()


class _Measured:
    """One stage under way."""

    def __init__(self, of: stage) -> None:
        event_loop.entered_stage()
        self._of = of
        self._started = time.perf_counter()
        parent: Context | None = None
        if of._root:
            parent = Context()
        elif of._carrier is not None:
            from otel_autopilot.telemetry.propagation import extract

            parent = extract(of._carrier)
        kind = SpanKind.CONSUMER if of._root else SpanKind.INTERNAL
        own = {names.WORKFLOW.name: of._workflow} if of._root else {names.STAGE.name: of.name, names.WORKFLOW.name: of._workflow}
        self.span = tracer().start_span(of.name, parent, kind, {**own, **of._attributes}, of._links)
        self.context = trace.set_span_in_context(self.span, otel_context.get_current() if parent is None else parent)

    def end(self, error: BaseException | None) -> None:
        """End the span with the outcome that the error means."""
        outcome = "success"
        if error is not None and not isinstance(error, GeneratorExit):
            outcome = "rejected" if getattr(error, "rejected", False) else "failed"
            fail(self.span, error)
        self.span.set_attribute(names.OUTCOME.name, outcome)
        token = otel_context.attach(self.context)  # so that an exemplar finds the span
        try:
            seconds = time.perf_counter() - self._started
            if self._of._root:
                instruments.record_duration(names.EMAIL_DURATION, seconds, outcome=outcome, workflow=self._of._workflow)
            else:
                instruments.record_duration(
                    names.STAGE_DURATION, seconds, stage=self._of.name, outcome=outcome, workflow=self._of._workflow
                )
        finally:
            otel_context.detach(token)
        self.span.end()


@contextmanager
def _inside(measured: _Measured) -> Iterator[None]:
    token = otel_context.attach(measured.context)
    try:
        yield
    finally:
        otel_context.detach(token)


def _wrap(of: stage, function: Callable[..., Any]) -> Callable[..., Any]:
    plain = function
    while isinstance(plain, functools.partial):
        plain = plain.func
    if not inspect.isroutine(plain) and callable(plain):
        plain = type(plain).__call__
    if inspect.isasyncgenfunction(plain):
        wrapper = _async_generator(of, function)
    elif inspect.isgeneratorfunction(plain):
        wrapper = _generator(of, function)
    elif inspect.iscoroutinefunction(plain):
        wrapper = _coroutine(of, function)
    else:
        wrapper = _plain(of, function)
    functools.update_wrapper(wrapper, function)
    return wrapper


def _plain(of: stage, function: Callable[..., R]) -> Callable[..., R]:
    def wrapper(*args: Any, **kwargs: Any) -> R:
        measured = _Measured(of)
        try:
            with _inside(measured):
                result = function(*args, **kwargs)
        except BaseException as error:
            measured.end(error)
            raise
        measured.end(None)
        return result

    return wrapper


def _coroutine(of: stage, function: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        measured = _Measured(of)
        try:
            with _inside(measured):
                result = await function(*args, **kwargs)
        except BaseException as error:
            measured.end(error)
            raise
        measured.end(None)
        return result

    return wrapper


def _generator(of: stage, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        measured = _Measured(of)
        try:
            with _inside(measured):
                inner = function(*args, **kwargs)
            step: Callable[[], Any] = functools.partial(next, inner)
            while True:
                try:
                    with _inside(measured):
                        item = step()
                except StopIteration as stop:
                    result = stop.value
                    break
                try:
                    sent = yield item
                    step = functools.partial(inner.send, sent)
                except GeneratorExit:
                    with _inside(measured):
                        inner.close()
                    raise
                except BaseException as thrown:  # noqa: BLE001  # handed to the generator, which decides
                    step = functools.partial(inner.throw, thrown)
        except BaseException as error:
            measured.end(error)
            raise
        measured.end(None)
        return result

    return wrapper


def _begin(inner: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """The first step, unknown to the event loop: at its end it closes the generators it knows, and this one is the wrapper's to close."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return inner.__anext__()
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _async_generator(of: stage, function: Callable[..., Any]) -> Callable[..., AsyncIterator[Any]]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        measured = _Measured(of)
        try:
            with _inside(measured):
                inner = function(*args, **kwargs)
            step: Callable[[], Any] = functools.partial(_begin, inner)
            while True:
                try:
                    with _inside(measured):
                        item = await step()
                except StopAsyncIteration:
                    break
                try:
                    sent = yield item
                    step = functools.partial(inner.asend, sent)
                except GeneratorExit:
                    with _inside(measured):
                        await inner.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001  # handed to the generator, which decides
                    step = functools.partial(inner.athrow, thrown)
        except BaseException as error:
            measured.end(error)
            raise
        measured.end(None)

    return wrapper
