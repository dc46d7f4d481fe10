"""`@vestige.monitor`: each call of a function is a run, with its arguments, its result or exception, and the files it used.

The function stays what it is to everybody who looks at it: name, signature, kind (generator, coroutine), pickling. What
Vestige does never raises into a call, and what a call returns never waits for the record.
"""

from __future__ import annotations

import functools
import inspect
import os
from typing import Any, ParamSpec, TypeVar, overload

from vestige.errors import UsageError
from vestige.model.secret_names import secret_name
from vestige.script import output, session
from vestige.script.describe import describe, exception, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Generator, Iterable, Sequence

P = ParamSpec("P")
R = TypeVar("R")
_REDACTED = "«redacted:secret»"


@overload
def monitor(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def monitor(
    directory: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    include_return_value: bool = True,
    items: Sequence[str] = (),
    ignore: Iterable[str] = (),
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def monitor(
    directory: Any = None,
    *,
    name: str | None = None,
    include_return_value: bool = True,
    items: Sequence[str] = (),
    ignore: Iterable[str] = (),
) -> Any:
    """Make each call of a function a run: `@vestige.monitor`, or `@vestige.monitor(ignore=("password",))`.

    `directory`: a folder in the project that the runs are recorded in, if not the working directory's. `name` is that of the
    runs, in place of the function's. `include_return_value` describes what is returned. `items` are named sets of files of the
    configuration that each call yields. `ignore` names arguments that are not written down. Works on functions, methods,
    generators and coroutines, below and above `staticmethod` and `classmethod`.
    """
    terms = _Terms(name, items, ignore, include=include_return_value)
    if callable(directory) or isinstance(directory, staticmethod | classmethod):
        return _wrapped(directory, terms)
    if directory is not None and not isinstance(directory, str | os.PathLike):
        raise UsageError(f"monitor takes a function or a folder, not {type_name(directory)}", hint="write @vestige.monitor")
    terms.directory = None if directory is None else os.fspath(directory)
    return functools.partial(_wrapped, terms=terms)


class _Terms:
    """How a function is recorded."""

    __slots__ = ("directory", "ignore", "include", "items", "name")

    def __init__(self, name: str | None, items: Sequence[str], ignore: Iterable[str], *, include: bool) -> None:
        self.directory: str | None = None
        self.name = name
        self.include = include
        self.items = tuple(items)
        self.ignore = frozenset([ignore] if isinstance(ignore, str) else ignore)


def _wrapped(function: Any, terms: _Terms) -> Any:
    if isinstance(function, staticmethod | classmethod):
        return type(function)(_wrapped(function.__func__, terms))
    if not callable(function):
        raise UsageError(f"monitor takes a function, not {type_name(function)}", hint="write @vestige.monitor above a def")
    if isinstance(function, type):
        raise UsageError(f"{function.__name__} is a class", hint="put @vestige.monitor above its methods")
    facts = _Facts(function, terms)
    if inspect.iscoroutinefunction(function):
        return _coroutine(function, facts)
    if inspect.isasyncgenfunction(function):
        return _async_generator(function, facts)
    if inspect.isgeneratorfunction(function):
        return _generator(function, facts)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        of_call = facts.begin(args, kwargs)
        if of_call is None:
            return function(*args, **kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            of_call.raised(error)
            raise
        of_call.returned(result)
        return result

    return call


def _coroutine(function: Callable[..., Coroutine[Any, Any, Any]], facts: _Facts) -> Any:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        of_call = facts.begin(args, kwargs)
        if of_call is None:
            return await function(*args, **kwargs)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            of_call.raised(error)
            raise
        of_call.returned(result)
        return result

    return call


def _generator(function: Callable[..., Generator[Any, Any, Any]], facts: _Facts) -> Any:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        of_call = facts.begin(args, kwargs)
        generator = function(*args, **kwargs)
        if of_call is None:
            return (yield from generator)
        of_call.pause()
        yielded = 0
        step: Callable[[], Any] = functools.partial(next, generator)
        try:
            while True:
                of_call.resume()
                try:
                    value = step()
                finally:
                    of_call.pause()
                yielded += 1
                try:
                    sent = yield value
                except GeneratorExit:
                    of_call.resume()
                    generator.close()
                    raise
                except BaseException as error:
                    step = functools.partial(generator.throw, error)
                else:
                    step = functools.partial(generator.send, sent)
        except StopIteration as stop:
            of_call.returned(stop.value, yielded=yielded)
            return stop.value
        except GeneratorExit:
            of_call.returned(None, yielded=yielded)  # whoever asked for it has had enough
            raise
        except BaseException as error:
            of_call.raised(error)
            raise

    return call


def _async_generator(function: Callable[..., AsyncGenerator[Any, Any]], facts: _Facts) -> Any:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        of_call = facts.begin(args, kwargs)
        generator = function(*args, **kwargs)
        if of_call is not None:
            of_call.pause()
        yielded = 0
        step: Callable[[], Any] = generator.__anext__
        try:
            while True:
                if of_call is not None:
                    of_call.resume()
                try:
                    value = await step()
                finally:
                    if of_call is not None:
                        of_call.pause()
                yielded += 1
                try:
                    sent = yield value
                except GeneratorExit:
                    await generator.aclose()
                    raise
                except BaseException as error:
                    step = functools.partial(generator.athrow, error)
                else:
                    step = functools.partial(generator.asend, sent)
        except StopAsyncIteration:
            if of_call is not None:
                of_call.returned(None, yielded=yielded)
        except GeneratorExit:
            if of_call is not None:
                of_call.returned(None, yielded=yielded)
            raise
        except BaseException as error:
            if of_call is not None:
                of_call.raised(error)
            raise

    return call


class _Facts:
    """What is known of a function before it is called."""

    def __init__(self, function: Callable[..., Any], terms: _Terms) -> None:
        self.terms = terms
        self.name = getattr(function, "__qualname__", None) or type_name(function)
        self.module = getattr(function, "__module__", None) or ""
        code = getattr(inspect.unwrap(function), "__code__", None)
        self.file = getattr(code, "co_filename", None)
        self.line = getattr(code, "co_firstlineno", None)
        try:
            self.signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):
            self.signature = None  # of a built-in

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call | None:
        """The record of a call; None where nothing can be recorded. Never raises."""
        try:
            function = {
                "module": self.module,
                "name": self.name,
                "file": self.file,
                "line": self.line,
                "arguments": self._arguments(args, kwargs),
            }
            terms = self.terms
            inside = session.session().enter("function", terms.name, items=terms.items, at=terms.directory, function=function)
            if inside is None:
                return None
            inside.resume()
        except Exception as error:
            session.warn_once(f"a call of {self.name} is not recorded: {session.reason(error)}")
            return None
        return _Call(inside, self.name, include=self.terms.include)

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Each argument by the name of its parameter, those with their defaults, too."""
        given: dict[str, Any] = {f"argument {number}": value for number, value in enumerate(args)} | kwargs
        if self.signature is not None:
            try:
                bound = self.signature.bind(*args, **kwargs)
                bound.apply_defaults()
                given = dict(bound.arguments)
            except TypeError:
                pass  # the call itself is going to say what is wrong with it
        found: dict[str, Any] = {}
        for name, value in given.items():
            kind = self.signature.parameters[name].kind if self.signature and name in self.signature.parameters else None
            if kind is inspect.Parameter.VAR_KEYWORD and isinstance(value, dict):
                found.update({key: self._shown(key, item) for key, item in value.items()})
            elif name == "self" or (name == "cls" and isinstance(value, type)):
                found[name] = {"type": type_name(value) if name == "self" else f"class {value.__qualname__}"}
            else:
                found[name] = self._shown(name, value)
        return found

    def _shown(self, name: str, value: Any) -> Any:
        return argument(name, value, self.terms.ignore)


class _Call:
    """One call that goes on."""

    __slots__ = ("_document", "_include", "_inside", "_name")

    def __init__(self, inside: session.Inside, name: str, *, include: bool) -> None:
        self._inside = inside
        self._name = name
        self._document: dict[str, Any] = {"result": None, "exception": None}
        self._include = include

    def resume(self) -> None:
        self._inside.resume()

    def pause(self) -> None:
        self._inside.pause()

    def returned(self, value: Any, *, yielded: int | None = None) -> None:
        """It has ended well. Never raises."""
        if yielded is not None:
            self._document["yielded"] = yielded
        if self._include:
            self._document["result"] = without_secrets(describe(value))
        self._end(0)

    def raised(self, error: BaseException) -> None:
        """It has ended by an exception. Never raises."""
        try:
            self._document["exception"] = without_secrets(exception(error))
        except Exception:
            self._document["exception"] = {"type": type_name(error)}
        self._end(output.status_of(error))

    def _end(self, status: int) -> None:
        try:
            self._inside.end(status, self._document)
        except Exception as error:
            session.warn_once(f"the end of a call of {self._name} is not recorded: {session.reason(error)}")


def argument(name: str, value: Any, ignore: Collection[str]) -> Any:
    """What was handed in under a name, as the record has it: nothing of it where it is to be ignored, or is a secret."""
    if name in ignore:
        return {"type": type_name(value), "ignored": True}
    if isinstance(value, str) and secret_name(name):
        return _REDACTED
    return without_secrets(describe(value))


def without_secrets(described: Any) -> Any:
    """What looks like a secret is replaced, wherever it stands."""
    if isinstance(described, str):
        from vestige.record import secrets

        if not secrets.suspicious([described], os.environ):
            return described
        from vestige.model import redaction

        return redaction.redact_text(described, redaction.known_values(os.environ))
    if isinstance(described, dict):
        told = {key for key, item in described.items() if isinstance(item, str) and secret_name(key)}
        return {key: _REDACTED if key in told else without_secrets(item) for key, item in described.items()}
    if isinstance(described, list):
        return [without_secrets(item) for item in described]
    return described


__all__ = ["argument", "monitor", "without_secrets"]
