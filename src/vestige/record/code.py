"""The code of a run: taken when it starts, completed while it runs, compared when it has ended."""

from __future__ import annotations

import _thread
import os

from vestige.capture.snapshot import Snapshots
from vestige.capture.sources import Rules
from vestige.store import project
from vestige.store.code import CodeStore
from vestige.store.objects import Objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from vestige.capture.snapshot import Taken
    from vestige.capture.worktree import Looking
    from vestige.config import Config
    from vestige.observe.conclusion import Conclusion, ObservedUse
    from vestige.record.context import Context
    from vestige.store.project import Place


class CodeOfRun:
    """The snapshots of one run. What is needed to take one is imported before anything else of the recorder, since
    changes to the project wait for it."""

    def __init__(self, place: Place, config: Config, *, prepared: bool = False) -> None:
        """`prepared`: somebody has run what the configuration wants to be run before."""
        self._place = place
        self._config = config
        self._prepared = prepared or not config.pre_capture
        self._taken: Taken | None = None
        self._problems: list[str] = []
        self._snapshots: Snapshots | None = None
        self._looked = _thread.allocate_lock()
        self._looking: Looking | None = None

    def take(self) -> None:
        """The code as it stands now; of a home folder, only what is seen in use. What goes wrong is said by `tell`."""
        if not self._prepared:
            self._prepare()
        try:
            self._snapshots = snapshots(self._place, self._config)
            self._taken = self._snapshots.take()
        except Exception as error:
            self._problems.append(f"code: {type(error).__name__}: {error}"[:500])

    def take_for(self, started: Mapping[str, object]) -> None:
        """Take it for a run with this started record. Of many tasks of one step, the first has taken it for all."""
        if "step" in started:
            from vestige.record import step

            known = step.code(started, self._place.store)
            if known is not None:
                self._snapshots = snapshots(self._place, self._config)
                self._taken = self._snapshots.resume(known)
                return
        self.take()

    def _prepare(self) -> None:
        from vestige.record import before

        problem = before.prepare(self._place.root, self._config)
        if problem is not None:
            self._problems.append(problem)

    def tell(self, context: Context) -> None:
        """Put what was taken into the context of the run."""
        if context.code is not None:  # an earlier recorder has taken it, when the run started
            self._snapshots = snapshots(self._place, self._config)
            self._taken = self._snapshots.resume(context.code)
            return
        if self._taken is not None:
            context.code = self._taken.code
            context.problems += self._taken.problems
        context.problems += self._problems

    def complete(self, context: Context) -> None:
        """Make the snapshot independent of the user's repository."""
        if self._taken is not None and self._snapshots is not None:
            done = self._snapshots.complete(self._taken)
            context.problems += [problem for problem in done.problems if problem not in self._taken.problems]
            context.code = done.code
            self._taken = done

    def look_again(self) -> None:
        """The command has ended: have git look at the code once more, while something else is done."""
        if self._taken is None or self._snapshots is None:
            return
        self._looked.acquire()
        _thread.start_new_thread(self._look, (self._snapshots, self._taken))

    def _look(self, snapshots: Snapshots, taken: Taken) -> None:
        try:
            self._looking = snapshots.look(taken)
        except Exception:
            self._looking = None  # `settle` looks itself, and can say what is wrong
        finally:
            self._looked.release()

    def settle(self, context: Context, conclusion: Conclusion) -> None:
        """Whether the code changed meanwhile; and code that was used although it is no source by name."""
        if self._taken is None or self._snapshots is None or context.code is None:
            return
        from vestige.model.values import replace
        from vestige.record.context import relative

        root = self._place.root
        own = {relative(use.path, root) for use in conclusion.outputs if not use.existed}
        with self._looked:
            changed = self._snapshots.changed(self._taken, own, self._looking)
        used = {name: content for use in conclusion.inputs if use.role == "code" for name, content in self._content(use)}
        if used and (added := self._snapshots.add(self._taken, used)) is not self._taken:
            self._taken = self._snapshots.complete(added)
        context.code = replace(self._taken.code, changed_during_run=changed)

    def _content(self, use: ObservedUse) -> Iterator[tuple[str, str]]:
        """Where the code that was used lies, as it was then: the file itself if it has not changed, else what was kept."""
        from vestige.record.context import relative
        from vestige.record.digests import stat_of

        name = relative(use.path, self._place.root)
        if use.link is not None or name == use.path or use.digest is None:
            return
        if stat_of(use.path) == use.signature:
            yield name, use.path
        elif (kept := Objects(self._place.store).path(use.digest)) is not None:
            yield name, kept


def snapshots(place: Place, config: Config, other: str | None = None) -> Snapshots:
    """Where the snapshots of a project are taken from, and kept; or of an `other` repository, where no run is known to write."""
    return Snapshots(
        other or place.root,
        CodeStore(os.path.join(place.store, "code.git")),
        project.cache_dir(place),
        (lambda paths: _made(place, paths)) if other is None else None,
        holds_secret=_scanner(),
        rules=Rules(config.source_limit, config.snapshot_limit, withhold=config.secrets == "withhold"),
        redact_url=_redact_url,
        observed_only=place.detached and other is None,
    )


def uncommitted(place: Place, config: Config) -> list[str]:
    """What is not committed, for `--strict`; Vestige's own files make no tree dirty."""
    return list(snapshots(place, config).take().uncommitted)


def _made(place: Place, paths: list[str]) -> set[str]:
    """Which of these a run has made; asked only where there are untracked files that look like source."""
    from vestige.store.sqlite import open_index

    with open_index(place.store, project.cache_dir(place)) as index:
        return {
            path for path in paths if any(use.access not in ("update", "append") for use in index.uses_at(path, written=True))
        }


def _scanner() -> Callable[[bytes], bool]:
    """Whether a content holds a secret: one that looks like one, or the value of a variable that is named like one."""
    known: dict[str, str] | None = None

    def holds_secret(data: bytes) -> bool:
        nonlocal known
        from vestige.model import redaction

        if known is None:
            known = redaction.known_values(os.environ)
        return bool(redaction.scan(data, known))

    return holds_secret


def _redact_url(url: str) -> str:
    from vestige.model import redaction

    return redaction.redact_url(url)
