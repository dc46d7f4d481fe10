"""The record, put together from what was written when the run started, what was seen, and what was found around it."""

from __future__ import annotations

import os
import time

from vestige.model import plain, wire
from vestige.model.files import Digest, FileUse, Moment, Signature
from vestige.model.run import Kind, Observation, Process, ProjectReference, Redaction, Reproduction, Run, Status, Stdin, Stream
from vestige.model.values import field, value
from vestige.observe.conclusion import Clock, Conclusion, ObservedUse
from vestige.record.context import Context, relative
from vestige.record.identity import timestamp
from vestige.store.journal import Ended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from vestige.observe.escapes import Contact

_SHOWN = frozenset({"data", "config", "code", "cache", "temporary"})


@value(kw_only=True)
class Parts:
    """Everything that a record is made of."""

    started: Mapping[str, Any]
    conclusion: Conclusion
    context: Context
    root: str
    ended: Ended | None
    method: str
    refused: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    contacts: tuple[Contact, ...] = ()
    unreadable: int = 0
    lost: int = 0
    raw: Digest | None = None
    absent: Digest | None = None
    asked: Digest | None = None
    listings: Digest | None = None
    streams: Mapping[str, Stream] = field(default_factory=dict)
    stdin: Stdin | None = None
    kept: Callable[[Digest | None], bool] = lambda _: False
    recovered: bool = False
    recording_seconds: float | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    said: Mapping[str, object] = field(default_factory=dict)
    function: Mapping[str, object] | None = None
    problems: tuple[str, ...] = ()


def compose(parts: Parts) -> Run:
    """The record of a run."""
    started, conclusion, context, ended = parts.started, parts.conclusion, parts.context, parts.ended
    code, signal = _exit(ended)
    problems = [*started.get("problems", ()), *context.problems, *parts.problems]
    if ended is not None and ended.problem:
        problems.append(ended.problem)
    redactions = tuple(wire.decode(Redaction, one) for one in started.get("redactions") or ()) + context.redactions
    reproduction = started.get("reproduction")
    moments = _Moments(conclusion.clock)
    return Run(
        id=started["id"],
        name=started.get("name"),
        tags=tuple(started.get("tags") or ()),
        note=started.get("note"),
        user=started.get("user"),
        host=started.get("host") or "",
        boot=started.get("boot"),
        kind=_kind(started),
        status=_status(code, signal, ended),
        started=started["started"],
        ended=ended.time if ended else None,
        duration=_duration(started, ended),
        sequence=started.get("sequence") or 0,
        parent=started.get("parent"),
        project=wire.decode(ProjectReference, started["project"]) if started.get("project") else None,
        command=tuple(started.get("command") or ()),
        redactions=redactions,
        executable=context.executable,
        script=context.script,
        function=parts.function,
        cwd=started.get("cwd") or ".",
        umask=started.get("umask"),
        exit_code=code,
        signal=signal,
        code=context.code,
        environment=context.environment,
        machine=context.machine,
        job=context.job,
        variables=context.variables,
        other_variables=context.other_variables,
        stdin=parts.stdin,
        inputs=tuple([_use(use, parts, moments) for use in conclusion.inputs if use.role != "drop"]),
        outputs=tuple([_use(use, parts, moments) for use in conclusion.outputs if use.role in _SHOWN]),
        streams=parts.streams,
        processes=_processes(conclusion, ended),
        observation=Observation(
            method=parts.method,
            refused=parts.refused,
            gaps=tuple(dict.fromkeys((*parts.gaps, *conclusion.gaps))),
            denied=_denied(parts.method),
            unreadable=parts.unreadable,
            lost=parts.lost,
            events=conclusion.events,
            raw=parts.raw,
            asked=parts.asked,
        ),
        values=parts.values,
        context={**context.added, **parts.said},
        absent=parts.absent,
        listings=parts.listings,
        network=tuple(_contact(one) for one in parts.contacts),
        reproduction=Reproduction(of=reproduction["of"]) if reproduction else None,
        resources=_resources(ended, parts),
        problems=tuple(dict.fromkeys(problems)),
    )


def _contact(one: Contact) -> dict[str, object]:
    """How much went to and fro is not known: the calls that send and receive are not watched."""
    found: dict[str, object] = {"endpoint": one.endpoint, "bytes": None}
    return found if one.name is None else {**found, "name": one.name}


def _use(use: ObservedUse, parts: Parts, moments: _Moments) -> FileUse:
    signature = None
    first = moments.at(use.first)
    if use.digest is None and use.signature is not None and use.kind is None and use.link is None:
        signature = Signature(*use.signature)
    return FileUse(
        path=relative(use.path, parts.root),
        digest=use.digest,
        size=use.size,
        role=use.role,  # type: ignore[arg-type]  # "drop" never gets here
        access=use.access,
        evidence=use.evidence,
        before=use.before,
        first=first,
        last=first if use.last == use.first else moments.at(use.last),
        by=use.by,
        kept=use.digest is not None and parts.kept(use.digest),
        deleted=use.deleted,
        recovered=parts.recovered,
        link=use.link,
        kind=use.kind,
        signature=signature,
    )


class _Moments:
    """Moments of a journal by the wall clock; most events share their second with others."""

    def __init__(self, clock: Clock | None) -> None:
        self._begin = None if clock is None else round(clock.wall * 1_000_000) - clock.seq
        self._seconds: dict[int, str] = {}

    def at(self, seq: int) -> Moment | None:
        if not seq:
            return None
        if self._begin is None:
            return Moment(seq, "")
        second, fraction = divmod(self._begin + seq, 1_000_000)
        text = self._seconds.get(second)
        if text is None:
            text = self._seconds[second] = timestamp(second)[:-7]
        return Moment(seq, f"{text}{fraction:06}Z")


def _denied(method: str) -> tuple[str, ...]:
    """What is answered with ENOSYS, since it would pass us by; by a filter also the third of x86's ways into the kernel."""
    if method not in ("notify", "ptrace", "preload"):
        return ()
    filtered = method != "preload" and os.uname().machine == "x86_64"
    return ("io_uring_setup", "x32") if filtered else ("io_uring_setup",)


def _kind(started: Mapping[str, Any]) -> Kind:
    kind: Kind = started.get("kind") or "command"
    return kind


def _exit(ended: Ended | None) -> tuple[int | None, int | None]:
    if ended is None:
        return None, None
    if os.WIFSIGNALED(ended.status):
        return None, os.WTERMSIG(ended.status)
    return os.WEXITSTATUS(ended.status), None


def _status(code: int | None, signal: int | None, ended: Ended | None) -> Status:
    """`interrupted` where somebody ended it: INT, TERM, HUP, by signal or by the exit status that stands for it."""
    if ended is None:
        return "interrupted"
    if signal in (1, 2, 15) or code in (128 + 2, 128 + 15):
        return "interrupted"
    return "finished" if code == 0 else "failed"


def _duration(started: Mapping[str, Any], ended: Ended | None) -> float | None:
    if ended is None or not started.get("sequence"):
        return None
    return round((ended.sequence - int(started["sequence"])) / 1e6, 3)


def _processes(conclusion: Conclusion, ended: Ended | None) -> tuple[Process, ...]:
    first = True
    found = []
    for process in conclusion.processes:
        code = None
        if first and ended is not None:
            code = _exit(ended)[0]
        first = False
        found.append(
            Process(pid=process.pid, parent=process.parent_pid or None, argv=process.argv or (process.name,), exit_code=code)
        )
    return tuple(found)


def _resources(ended: Ended | None, parts: Parts) -> dict[str, object]:
    found: dict[str, object] = {}
    recording = parts.recording_seconds
    if parts.context.limits:
        found["limits"] = parts.context.limits
    if ended is not None:
        if ended.cpu_seconds is not None:
            found["cpu_seconds"] = round(ended.cpu_seconds, 3)
        if ended.max_rss:
            found["max_rss"] = ended.max_rss
    if recording is not None:
        found["recording_seconds"] = round(recording, 3)
    return found


def summary(run: Run, seconds: float | None = None) -> str:
    """The closing line: short id, name, counts of data and configuration read and written, duration."""
    shown = ("data", "config")
    inputs = sum(use.role in shown and use.link is None for use in run.inputs)
    outputs = sum(use.role in (*shown, "code") and use.link is None and use.kind is None for use in run.outputs)
    name = f" {run.name}" if run.name else f" {_label(run)}"
    status = "" if run.status == "finished" else f" · {_ending(run)}"
    duration = run.duration if seconds is None else seconds
    took = "" if duration is None else f" · {_seconds(duration)}"
    return f"vestige: {run.id[-8:]}{name} · {inputs} in → {outputs} out{took}{status}"


def _label(run: Run) -> str:
    from vestige.model.run import label

    return label(run)


def _ending(run: Run) -> str:
    if run.signal is not None:
        return f"{run.status} (signal {run.signal})"
    return f"{run.status} (exit {run.exit_code})"


def _seconds(duration: float) -> str:
    if duration < 60:
        return f"{duration:.1f} s"
    minutes, seconds = divmod(round(duration), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} h" if hours else f"{minutes}:{seconds:02} min"


def now() -> float:
    """The time that this process has used, in CPU seconds."""
    return time.process_time()


def lines(paths: Sequence[str]) -> bytes:
    """A long list of paths as an object: sorted, one a line, as JSON strings."""
    return ("[" + ",\n".join(plain.dumps(wire.escape(path)[0]) for path in sorted(paths)) + "]\n").encode()
