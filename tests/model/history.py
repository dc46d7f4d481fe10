"""Histories of runs as literal tables, and the index that answers for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from vestige.model.files import Digest, Use
from vestige.model.run import Kind, Status, Summary

MORNING = 1_795_240_800  # 2026-11-21T06:00:00Z


def clock(seconds: float) -> str:
    """A time of that morning as records write it."""
    return datetime.fromtimestamp(MORNING + seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def file(what: str, **changes: object) -> Use:
    """`path@digest`, or `path@digest<before` for a write: a row without its run."""
    path, _, content = what.partition("@")
    digest, _, before = content.partition("<")
    size = len(digest) if digest in {"", "tiny"} else 1000
    known, replaced = (f"b:{one}" if one else None for one in (digest, before))
    if digest == "":
        known = "b:"
    use = Use("", path, None if digest == "?" else known, replaced, False, "read", "data", size, 0, "")
    return use._replace(**changes)  # type: ignore[arg-type]  # a test that names a wrong field fails


@dataclass
class History:
    """An index in a list. It counts what it is asked."""

    summaries: dict[str, Summary] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    asked: int = 0
    _sorted: dict[object, list[Use]] | None = None
    _inside: dict[str | None, list[Summary]] | None = None

    def run(
        self,
        name: str,
        at: float,
        reads: Sequence[str | Use] = (),
        writes: Sequence[str | Use] = (),
        *,
        host: str = "h",
        boot: str | None = "b",
        parent: str | None = None,
        kind: Kind = "command",
        status: Status = "finished",
        command: str | None = None,
        snapshot: str | None = "git:1",
        skew: float = 0,
    ) -> History:
        """A run that read at `at` seconds and wrote one second later, on a host whose clock is `skew` seconds wrong."""
        self._sorted = self._inside = None
        self.summaries[name] = Summary(
            id=name,
            name=None,
            label=f"{name}.py",
            kind=kind,
            status=status,
            started=clock(at + skew),
            duration=1.0,
            sequence=int(at * 1e6),
            host=host,
            boot=boot,
            parent=parent,
            user="ada",
            command=(command or name,),
            cwd=".",
            exit_code=0,
            commit="9c4b2a1" + "0" * 33,
            dirty=False,
            snapshot=snapshot,
            environment=None,
            inputs=len(reads),
            outputs=len(writes),
        )
        for uses, written, moment in ((reads, False, at), (writes, True, at + 1)):
            for what in uses:
                use = file(what) if isinstance(what, str) else what
                access = ("write" if written else "read") if use.access == "read" else use.access
                self.uses.append(
                    use._replace(
                        run=name,
                        written=written,
                        access=access,
                        seq=use.seq or int(moment * 1e6) + 1,
                        time=use.time or clock(moment + skew),
                    )
                )
        return self

    def summary(self, run_id: str) -> Summary | None:
        self.asked += 1
        return self.summaries.get(run_id)

    def uses_of(self, digest: Digest, *, written: bool) -> Sequence[Use]:
        return self._rows("digest", digest, written)

    def uses_at(self, path: str, *, written: bool) -> Sequence[Use]:
        return self._rows("path", path, written)[::-1]

    def uses_by(self, run_id: str, *, written: bool) -> Sequence[Use]:
        return self._rows("run", run_id, written)

    def children(self, run_id: str) -> Sequence[Summary]:
        self.asked += 1
        if self._inside is None:
            self._inside = {}
            for summary in self.summaries.values():
                self._inside.setdefault(summary.parent, []).append(summary)
        return self._inside.get(run_id, [])

    def _rows(self, column: str, value: str, written: bool) -> list[Use]:
        self.asked += 1
        if self._sorted is None:
            self._sorted = {}
            for use in self.uses:
                for name in ("digest", "path", "run"):
                    self._sorted.setdefault((name, getattr(use, name), use.written), []).append(use)
        return self._sorted.get((column, value, written), [])
