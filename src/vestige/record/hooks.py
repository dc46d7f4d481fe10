"""Hooks: what people have done for every run. A probe adds to its context, a watcher wraps it, a reporter is told of it.

A hook is a plain function, or anything that can be called with a `Run`. A package declares it as an entry point, in the
group `vestige.probes`, `vestige.watchers` or `vestige.reporters`; it is then called in the process that records, beside the
program. A program adds its own by `vestige.add_probe` and its sisters. Each is called in a thread of its own, so that none
holds up the run or another hook; one that raises, takes too long or gives what cannot be recorded is a line in `problems`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

from vestige.model import plain, redaction, wire
from vestige.model.run import Run
from vestige.model.values import replace, value

PATIENCE = 5.0  # seconds that a run's end waits for all its probes and watchers, and again for its reporters
_LARGEST = 64 << 10  # bytes of one hook's value, as JSON
_SETTLED = 2.0  # seconds after which a folder of packages is taken to be installed
_GROUPS = {"vestige.probes": "probe", "vestige.watchers": "watcher", "vestige.reporters": "reporter"}

Kind = Literal["probe", "watcher", "reporter"]


class Probe(Protocol):
    """Looks at something when a run begins. What it returns, as JSON has it, is in the record under the probe's name."""

    def __call__(self, run: Run, /) -> object: ...


class Watcher(Protocol):
    """Gives a context manager, entered when a run begins and left when it has ended. What the manager gives (after `as`), as it
    is then, is in the record under the watcher's name, unless it is None."""

    def __call__(self, run: Run, /) -> AbstractContextManager[object]: ...


class Reporter(Protocol):
    """Is told of a run twice: when it begins, with `run.ended` None and what is known then, and when it has ended."""

    def __call__(self, run: Run, /) -> object: ...


@value
class Hook:
    """A hook and its name; `load` gives it, and may raise."""

    kind: Kind
    name: str
    load: Callable[[], Any]


class Attending:
    """The hooks of one run, from its beginning to its end."""

    def __init__(self, hooks: Sequence[Hook], started: Mapping[str, Any]) -> None:
        """Call them all, for a run with this started record."""
        self._run = replace(wire.decode(Run, started), status="running", extra={})
        self._ended = threading.Event()
        self._reported = threading.Event()
        self._calls = [_Call(hook, self._run) for hook in hooks]
        for call in self._calls:
            call.thread = threading.Thread(target=call.run, args=(self._ended, self._reported), daemon=True)
            call.thread.start()

    @property
    def run(self) -> Run:
        """What is known of the run when it begins."""
        return self._run

    def settle(self) -> tuple[dict[str, Any], list[str]]:
        """The run has ended: what its probes and watchers have found, by name, and what went wrong."""
        self._ended.set()
        calls = [call for call in self._calls if call.hook.kind != "reporter"]
        problems = _awaited(calls)
        found: dict[str, Any] = {}
        for call in calls:
            if call.done and call.problem is None and call.said:
                found[_free(call.hook.name, found)] = call.found
        return found, problems

    def report(self, run: Run) -> list[str]:
        """Tell the reporters of the run as it is recorded; what went wrong."""
        calls = [call for call in self._calls if call.hook.kind == "reporter"]
        for call in calls:
            call.final = run
        self._reported.set()
        return _awaited(calls)


class _Call:
    """One hook in its thread."""

    def __init__(self, hook: Hook, run: Run) -> None:
        self.hook = hook
        self.about = run
        self.final = run
        self.found: Any = None
        self.said = False
        self.problem: str | None = None
        self.done = False
        self.thread: threading.Thread | None = None

    def run(self, ended: threading.Event, reported: threading.Event) -> None:
        try:
            called = self.hook.load()
            if isinstance(called, type) and self.hook.kind != "watcher":
                called = called()
            if self.hook.kind == "reporter":
                self._report(called, reported)
            else:
                self._look(called, ended)
        except BaseException as error:
            self.problem = f"{type(error).__name__}: {_text(error)}"
        self.done = True

    def _look(self, called: Any, ended: threading.Event) -> None:
        if self.hook.kind == "probe":
            self._take(called(self.about))
            return
        manager = called(self.about)
        given = manager.__enter__()  # it is left only when the run has ended
        ended.wait()
        manager.__exit__(None, None, None)
        if given is not None and given is not manager:
            self._take(given)

    def _report(self, called: Any, reported: threading.Event) -> None:
        try:
            called(self.about)
        except BaseException as error:  # it may still be able to tell of the end
            self.problem = f"at the start: {type(error).__name__}: {_text(error)}"
        reported.wait()
        called(self.final)

    def _take(self, found: object) -> None:
        self.found = _recordable(found)
        self.said = True


def _awaited(calls: Sequence[_Call]) -> list[str]:
    """Wait for them, all together no longer than we have patience."""
    deadline = time.monotonic() + PATIENCE
    problems = []
    for call in calls:
        if call.thread is not None:
            call.thread.join(max(deadline - time.monotonic(), 0))
        if not call.done:
            problems.append(f"{call.hook.kind} {call.hook.name}: it took more than {PATIENCE:.0f} s, and was not waited for")
        elif call.problem is not None:
            problems.append(f"{call.hook.kind} {call.hook.name}: {call.problem}"[:500])
    return problems


def _free(name: str, taken: Mapping[str, object]) -> str:
    number = 1
    while (name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return name if number == 1 else f"{name}-{number}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(its text could not be had)"


def _recordable(found: object) -> Any:
    """A value as it will be in the record, without secrets. Raises TypeError or ValueError for what JSON does not have."""
    try:
        text = plain.dumps(found)
    except RecursionError:
        raise ValueError("its value contains itself, or is nested very deeply") from None
    except (TypeError, ValueError) as error:
        raise TypeError(f"its value cannot be recorded: {error}") from None
    if len(text) > _LARGEST:
        raise ValueError(f"its value is larger than {_LARGEST >> 10} KiB")
    return _safe(plain.loads(text), redaction.known_values(os.environ))


def _safe(found: Any, secrets: Mapping[str, str]) -> Any:
    if isinstance(found, str):
        return redaction.redact_text(found, secrets)
    if isinstance(found, float) and found - found != 0:
        raise ValueError(f"its value cannot be recorded: {found} is not JSON")
    if isinstance(found, list):
        return [_safe(one, secrets) for one in found]
    if isinstance(found, dict):
        return {key: _safe(one, secrets) for key, one in found.items()}
    return found


# -- entry points ---------------------------------------------------------------------------------------------------------


def declared(stamp: str) -> tuple[list[Hook], bool]:
    """The hooks that installed packages declare, in the folders that `surroundings.attending` names; and whether that can be
    remembered, since no installation is going on."""
    found: dict[tuple[str, str], Hook] = {}
    settled = True
    for line in stamp.splitlines():
        folder, _, changed = line.rpartition("\t")
        settled = settled and time.time() - int(changed) / 1e9 > _SETTLED
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                for hook in _of_distribution(os.path.join(folder, name, "entry_points.txt")):
                    found.setdefault((hook.kind, hook.name), hook)
    return list(found.values()), settled


def _of_distribution(path: str) -> list[Hook]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return []
    group = ""
    hooks = []
    for line in map(str.strip, text.splitlines() if "vestige." in text else ()):
        if line.startswith("["):
            group = line.strip("[] ")
        elif group in _GROUPS and "=" in line and line[0] not in "#;":
            name, _, target = (part.strip() for part in line.partition("="))
            hooks.append(Hook(_GROUPS[group], name, _Named(target.partition("[")[0].strip())))  # type: ignore[arg-type]
    return hooks


class _Named:
    """Loads `module:object`."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __call__(self) -> Any:
        from importlib import import_module

        module, _, names = self.target.partition(":")
        found: Any = import_module(module)
        for name in filter(None, names.split(".")):
            found = getattr(found, name)
        return found
