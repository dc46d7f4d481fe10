"""The recorder: follows the journal of a run, hashes what it used, looks at what surrounds it, and writes the record.

Whatever it finds goes into the run's folder at once. So it can be killed at any moment: whoever calls `finish` later goes
on from the folder. The same code runs in both cases; only the waiting is left out.
"""

from __future__ import annotations

import _thread
import os
import select
import stat
import time

from vestige.capture import digest
from vestige.config import Config
from vestige.errors import VestigeError
from vestige.model import plain, wire
from vestige.model.files import Digest
from vestige.model.run import Run
from vestige.model.values import replace
from vestige.observe import notify
from vestige.observe.classify import Follower
from vestige.observe.conclusion import Conclusion
from vestige.observe.interface import Event, Stat, parse
from vestige.observe.roles import role
from vestige.record import compose, cores, identity, journal, leftovers, looked, surroundings
from vestige.record.code import CodeOfRun
from vestige.record.context import NAME as CAPTURED
from vestige.record.context import Context, attempt
from vestige.record.digests import Digests, stat_of
from vestige.record.journal import Begun
from vestige.record.keeping import Keeper
from vestige.record.said import Said
from vestige.record.tail import Tail, compressed
from vestige.record.watch import Ground
from vestige.store import ledger, project
from vestige.store.journal import Active
from vestige.store.objects import Objects
from vestige.store.project import Place
from vestige.store.records import Records, share_by_git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vestige.record.configured import Configured
    from vestige.record.hooks import Attending
    from vestige.record.inner import Inner

_TICK = 0.02  # seconds between two looks at the journal, at first
_SLOWEST = 0.25
_HEARTBEAT = 20.0
_PATIENCE = 2.0
_RAW = 64 << 20  # bytes of a journal that are kept; compressed they are about a tenth
_UNREAD = frozenset({"library", "system", "drop"})


def main(begun: Begun, config: Config, ground: Ground, code_of_run: CodeOfRun) -> None:
    """Record a run that has just been started, and whose code has been taken, to its end. In a process of its own."""
    guarded = _thread.allocate_lock()
    guarded.acquire()
    _thread.start_new_thread(_guard, (ground, begun.folder, guarded))
    recorder = Recorder(begun.folder, begun.place, config, method=ground.method, started=begun.started)
    recorder.begin(code_of_run)
    recorder.attend()
    recorder.follow_until(ground.watched[0])
    with guarded:  # whoever stands in for a watcher that was killed has finished
        recorder.follow()
    _end(recorder, ground.done)
    recorder.tidy()


def finish(folder: str, config: Config | None = None, *, done: int | None = None, nothing_ran: bool = False) -> Run | None:
    """Complete the record of a run whose recorder is gone, and say so on `done`.

    None where another process does it already, and where nobody knows how the command ended: such a run stays *lost*.
    `nothing_ran`: the code is still as it was when the run began.
    """
    active = Active(folder)
    started = active.started()
    if active.ended() is None:
        return None
    found = project.locate(started["project"]["root"])
    store = os.path.dirname(os.path.dirname(folder))
    place = Place(started["project"]["root"], store, found.git_top, id=started["project"]["id"])
    recorder = Recorder(folder, place, config or Config(), method=started.get("method") or "notify")
    if not recorder.claim():
        return None
    code = CodeOfRun(place, recorder.config, prepared=True)
    if nothing_ran:
        code.take()
    recorder.begin(code)
    if recorder.without_code:
        recorder.say("the recorder was killed, or the disk was full, before the code was taken")
    if not started.get("method") and not nothing_ran:
        recorder.say("how the run was observed was not written down: files may be missing")
    recorder.follow()
    return _end(recorder, done)


def _end(recorder: Recorder, done: int | None) -> Run | None:
    """Write the record and say so on `done`; where there is no room for it, the next command tries again."""
    try:
        run = recorder.finish()
    except OSError as error:
        if done is not None:
            why = f"its record cannot be written ({error.strerror}); vestige log tries again"
            _tell(done, f"vestige: {recorder.id[-8:]} · {why}", [])
        return None
    if done is not None:
        _tell(done, compose.summary(run), recorder.warnings(run))
    return run


class Recorder:
    """One run's recorder: its journal, what it has hashed, and what it has found around the run."""

    def __init__(self, folder: str, place: Place, config: Config, *, method: str, started: dict[str, Any] | None = None) -> None:
        self._active = Active(folder)
        self._folder = folder
        self._place = place
        self.config = config
        self._method = method
        self._started: dict[str, Any] = self._active.started() if started is None else started
        self._objects = Objects(place.store)
        self._cache = digest.DigestCache(os.path.join(project.cache_dir(place), "digests.sqlite"))
        self._digests = Digests(folder, self._cache, limit=config.hash_limit)
        everything = self._started.get("options", {}).get("keep", False)
        self._keeper = Keeper(self._objects, config, place.root, since=self._started["started"], everything=everything)
        self._setting = surroundings.setting(place)
        self._follower = Follower(self._setting, readlink)
        self._executions = 0
        self._names: dict[str, list[str] | None] = {}
        self._pending: dict[str, tuple[int, ...]] = {}
        self._tail = Tail(folder, self._started.get("outer") if method == "outer" else None, self._started)
        self._context = self._resumed()
        self._environments = surroundings.Environments(place, self._objects)
        self._code: CodeOfRun | None = None
        self._late: dict[str, Stat] = {}
        self._streams: dict[str, Any] = {}
        self._said = Said(folder)
        self._results: dict[str, set[str]] = {}
        self._inner: Inner | None = None
        self.configured: Configured | None = None
        self._attending: Attending | None = None

    def claim(self) -> bool:
        """Become the only one who finishes this run."""
        import fcntl

        try:
            self._lock = os.open(os.path.join(self._folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:
            return True  # a full disk; of two that write the same record, the first wins
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _resumed(self) -> Context:
        try:
            return Context.load(self._active.document(CAPTURED))
        except VestigeError:
            return Context()

    # -- while the command runs -----------------------------------------------------------------------------------------

    @property
    def without_code(self) -> bool:
        """Whether the code should have been taken, and was not."""
        return self._context.code is None and bool(self._started.get("options", {}).get("code", True))

    @property
    def context(self) -> Context:
        """What surrounds the run, as far as it has been found."""
        return self._context

    def say(self, problem: str) -> None:
        """Put a problem into the record."""
        self._context.problems.append(problem)

    def begin(self, code_of_run: CodeOfRun, like: Recorder | None = None) -> None:
        """What does not run away: an earlier recorder of this run may have looked already. `like`: the recorder of another
        run of the same process, which knows its surroundings."""
        context = self._context
        self._code = code_of_run
        if like is not None:
            context.take_surroundings(like.context)
        if self._started.get("options", {}).get("code", True):
            code_of_run.tell(context)
        if context.machine is None:
            attempt(context, "script", lambda: surroundings.script(context, self._started, self._place))
            attempt(context, "variables", lambda: surroundings.variables(context, self.config, self._place))
            attempt(context, "limits", lambda: surroundings.limits(context))
            attempt(context, "machine", lambda: surroundings.machine(context, self._place, self._objects))
            context.save(self._folder)
        attempt(context, "code", lambda: code_of_run.complete(context))
        if self._is_configured():
            attempt(context, "configuration", lambda: self._do_what_is_configured(like))

    def _is_configured(self) -> bool:
        """Whether more is to be done for this run than to record it."""
        options, config = self._started.get("options") or {}, self.config
        collected = "collect" in options or "collect_items" in options
        return bool(collected or config.repositories or config.capsule.write or config.sidecars)

    def _do_what_is_configured(self, like: Recorder | None) -> None:
        from vestige.record.configured import Configured

        self.configured = Configured(self._folder, self._started, self._place, self.config)
        self.configured.collect()
        self.configured.look(self._context.code, like.configured if like is not None else None)

    def attend(self) -> None:
        """Have the hooks of installed packages called, for a run that has just begun."""

        def call() -> None:
            self._attending = surroundings.attending(self._place, self._started)

        attempt(self._context, "hooks", call)

    def follow_until(self, watched: int) -> None:
        """Follow the journal until the watcher has ended; hash in between."""
        poll = select.poll()
        poll.register(watched, select.POLLIN)
        pause, beat = _TICK, time.monotonic()
        while True:
            news = self.step()
            pause = _TICK if news else min(pause * 1.5, _SLOWEST)
            if time.monotonic() - beat > _HEARTBEAT:
                beat = time.monotonic()
                self.touch()
            if poll.poll(pause * 1000):
                break
        self.follow()

    def step(self) -> bool:
        """One look at the journal, and what can be done meanwhile; whether there was anything new."""
        news = self.follow()
        self._listen()
        self._hash_inputs()
        self._look_at_environments()
        if not news:
            self._hash_outputs_of_the_ended()
        self._digests.flush()
        return news

    def follow(self) -> bool:
        """Take in what has been written since."""
        news = False
        for event in parse(self._tail.lines()):
            news = True
            self._follower.feed(event)
            if event.op == "h" and event.signature is not None and event.path is not None:
                kept = bool(event.flags) and self._keeper.vet(event.path, event.text)
                self._digests.learn(event.path, event.signature, event.text, kept=kept)
        for folder in self._follower.listed():
            self._names[folder] = looked.names_in(folder)
        return news

    def _hash_inputs(self) -> None:
        for path, signature in self._follower.wanted():
            if signature is None or self._digests.tried(signature):
                continue
            found, content = self._digests.take(path, signature)
            if content is not None:
                self._keep(path, content, signature)
            elif found is not None and path not in self._digests.too_large:
                self._late[path] = signature

    def _keep(self, path: str, content: Digest, signature: Stat) -> None:
        if not self._digests.kept(content) and self._keeper.keep(path, content, signature.size):
            self._digests.learn(path, signature, content, kept=True)

    def _hash_outputs_of_the_ended(self) -> None:
        """Outputs whose writers are gone will not change again, unless somebody else opens them."""
        self._pending.update(self._follower.written())
        for path, writers in list(self._pending.items()):
            if any(os.path.exists(f"/proc/{pid}") for pid in writers):
                continue
            del self._pending[path]
            signature = stat_of(path)
            if signature is not None and not self._digests.tried(signature):
                self._digests.take(path, signature)

    def _look_at_environments(self) -> None:
        executions = self._follower.executions(self._executions)
        self._executions += len(executions)
        for execution in executions:
            attempt(self._context, "environment", lambda e=execution: self._environments.seen(e))  # type: ignore[misc]

    def touch(self) -> None:
        """A sign of life, for readers on other hosts."""
        try:
            path = os.path.join(self._folder, "heartbeat")
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666))
            os.utime(path)
        except OSError:
            pass

    def _listen(self) -> None:
        """Do what the program asks for; what it tells of the runs within it, another does."""
        for kind, what, *rest in self._said.news():
            if kind == "folder":
                attempt(self._context, "info.txt", lambda what=what, rest=rest: self._describe(str(what), rest[0]))  # type: ignore[misc]
            elif kind in ("began", "ended"):
                if self._inner is None:
                    from vestige.record.inner import Inner

                    self._inner = Inner(self._place, self.config, like=self)
                self._inner.tell(kind, str(what))
        if self._inner is not None:
            self._inner.step()

    def _describe(self, folder: str, facts: dict[str, Any]) -> None:
        from vestige.record import info

        scratch = os.path.join(self._folder, "scratch")
        os.makedirs(scratch, exist_ok=True)
        command = [str(word) for word in self._started.get("command") or ()]
        python = str(facts.get("python") or "")
        self._context.problems += info.write(folder, facts, command, scratch)
        self._context.problems += info.write_beside(folder, facts, scratch, lambda: self._environments.versions(python))
        self._results[os.path.realpath(folder)] = info.names(facts)

    # -- at the end -----------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The run's full id."""
        return self._active.id

    def finish(self) -> Run:
        """Write the record, and remove the run's folder. Raises OSError where it cannot be written."""
        if self._code is not None:
            self._code.look_again()
        self._listen()
        if self._inner is not None:
            self._inner.finish()
        self._streams = self._await_streams()
        if self._streams.get("stdin", {}).get("moved") is False:
            self._follower.feed(Event("n", 0, 0, self._streams["stdin"]["path"]))
        self._hash_inputs()
        self._digests.flush()
        self._look_at_environments()
        conclusion = self.conclude()
        context = self._context
        attempt(context, "environment", lambda: self._environments.settle(context, conclusion))
        attempt(context, "code", lambda: self._settle_code(conclusion))
        if self._attending is not None:
            added, problems = self._attending.settle()
            context.added.update(added)
            context.problems += problems
        run = compose.compose(self._parts(conclusion))
        if self._attending is not None and (problems := self._attending.report(run)):
            run = replace(run, problems=(*run.problems, *problems))
        if self.configured is not None:
            run = self.configured.settled(run)
        document = wire.encode(run)
        Records(self._place.store).write(run, document)
        if self.config.records == "commit":
            attempt(context, "sharing", lambda: share_by_git(self._place.store, share=True))
        if self.config.catalogue:
            try:
                ledger.append(os.path.join(project.state_dir(), "catalogue"), run, self._place, document)
            except OSError:
                pass
        attempt(context, "budget", self._keeper.account)
        if self.configured is not None:
            attempt(context, "configuration", lambda: self._follow_up(run))
        journal.discard(self._folder)
        self._cache.close()
        return run

    def _follow_up(self, run: Run) -> None:
        if self.configured is not None:
            self.configured.follow_up(run)

    def tidy(self) -> None:
        """Nobody waits any more: bring what is kept back within the budget."""
        try:
            self._keeper.tidy(self._place)
        except (VestigeError, OSError):
            pass  # the next run tries again

    def _await_streams(self) -> dict[str, Any]:
        """What the launcher says of the streams; it says so when the last byte has been passed on."""
        launcher = self._started.get("processes_of_vestige", {}).get("launcher")
        if launcher is None:
            return {}  # a run from inside a program, whose streams are its own
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._active.document("streams.json")
            except VestigeError:
                if launcher[0] == os.getpid() or time.monotonic() > deadline or identity.process(launcher[0]) != launcher:
                    return {}
            time.sleep(0.002)

    def _settle_code(self, conclusion: Conclusion) -> None:
        if self._code is not None:
            self._code.settle(self._context, conclusion)

    def conclude(self) -> Conclusion:
        """What the run used, everything hashed that can be."""
        self._compare_surveys()
        if self._method == "inside":
            self._look_into_results()
        self._look_for_dumps()
        for name, signature in self._follower.mappable():
            if stat_of(name) == signature:
                self._digests.take_again(name, signature)
        conclusion = self._follower.conclude(final, self._digest_of, of_directory=digest.of_directory)
        conclusion = surroundings.promoted(conclusion, self._place, self._take)
        conclusion = surroundings.claimed(conclusion, self._place, self.config, self._take)
        return surroundings.with_declared(conclusion, self._started, self._place, self.config, self._digest_of, self._setting)

    def _take(self, path: str, signature: Stat) -> Digest | None:
        content = self._digests.take(path, signature)[1]
        if content is not None:
            self._keep(path, content, signature)
        return content

    def _compare_surveys(self) -> None:
        """Where only Python programs were observed, what others wrote shows in the folders."""
        try:
            with open(os.path.join(self._folder, "survey.json"), encoding="ascii") as file:
                document = plain.loads(file.read())
        except (OSError, ValueError):
            return
        from vestige.observe import audit

        before = audit.Survey({path: Stat(*found) for path, found in document["files"].items()}, document["complete"])
        after = audit.survey([self._place.root], self._setting)
        for event in audit.differences(before, after, identity.sequence()):
            self._follower.feed(event)

    def _look_into_results(self) -> None:
        """The run's own folder was made for it: what is in it is the run's, whoever opened it. But for what we put there, and
        into those of the runs within it. Of one that tasks of a step share, nobody can tell whose is what."""
        if "step" in self._started:
            return
        from vestige.observe import audit
        from vestige.record.info import INFO

        for folder, own in self._results.items():
            files = audit.survey([folder], self._setting).files
            for path in sorted(files):
                beside, name = os.path.split(path)
                if name not in own or os.path.join(beside, INFO) not in files:
                    self._follower.feed(Event("w", identity.sequence(), 0, path, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC))

    def _look_for_dumps(self) -> None:
        """What the kernel wrote when a program crashed."""
        ended = self._active.ended()
        if ended is None:
            return
        executions = self._follower.executions()
        folders = [execution.cwd for execution in executions if execution.cwd is not None]
        since = time.time() - (identity.sequence() - (self._started.get("sequence") or 0)) / 1e6 - _TICK
        for event in cores.dumps(folders, since, ended.sequence):
            self._follower.feed(event)

    def _digest_of(self, path: str, signature: Stat) -> Digest | None:
        """The digest of what a path held when its signature was this; taken now where it still has it."""
        if not self._digests.tried(signature):
            if role(path, self._setting) in _UNREAD:
                return None
            _, content = self._digests.take(path, signature)
            if content is not None:
                self._keep(path, content, signature)
        else:
            content = self._digests.known(signature)
            if content is not None and not self._digests.kept(content) and stat_of(path) == signature:
                self._keep(path, content, signature)
        return content

    def _parts(self, conclusion: Conclusion) -> compose.Parts:
        streams, stdin, outputs = surroundings.streams(self._folder, self._streams, self._objects, self._place, self._digests.at)
        closed = self._document("closed.json") or {}
        missed = int(closed.get("lost") or 0)
        ended = self._active.ended()
        lost = sorted(path for path, signature in self._late.items() if self._digests.known(signature) is None)
        late = tuple(f"{path} changed before it could be hashed" for path in lost)
        contacts, escaped = surroundings.escaped(conclusion, self._method)
        return compose.Parts(
            started={**self._started, "name": self._started.get("name") or self._said.name},
            conclusion=conclusion,
            context=self._context,
            root=self._place.root,
            ended=ended,
            method=self._started.get("rung") or self._method,
            refused=tuple(self._started.get("refused") or ()),
            gaps=(
                *surroundings.gaps(self._method, self._folder, missed, metadata=self.config.metadata),
                *((surroundings.SHARED_GAP,) if self._method == "inside" and "step" in self._started else ()),
                *late,
                *escaped,
            ),
            contacts=contacts,
            unreadable=int(closed.get("unreadable") or 0),
            lost=missed,
            raw=self._raw(),
            absent=self._listed(looked.absent(conclusion, self._place.root)),
            asked=self._listed(looked.asked(conclusion, self._place.root)),
            listings=self._put(looked.listings(conclusion, self._names, self._follower.content, self._place.root)),
            streams=streams,
            stdin=stdin,
            kept=self._kept,
            values=self._said.values(),
            said=self._said.context,
            function=self._active.function(),
            recording_seconds=compose.now(),
            problems=(
                *outputs,
                *self._said.problems,
                *(
                    f"{path} is larger than hash_limit: it is known by its size and its times"
                    for path in sorted(self._digests.too_large)
                ),
                *leftovers.problems(conclusion.outputs, failed=ended is None or ended.status != 0),
            ),
        )

    def _kept(self, content: Digest | None) -> bool:
        return content is not None and (self._digests.kept(content) or self._objects.has(content))

    def _document(self, name: str) -> dict[str, Any] | None:
        try:
            return self._active.document(name)
        except VestigeError:
            return None

    def _listed(self, paths: list[str]) -> Digest | None:
        return self._put(compose.lines(paths) if paths else None)

    def _put(self, data: bytes | None) -> Digest | None:
        try:
            return None if data is None else self._objects.put(data)
        except OSError:
            return None

    def _raw(self) -> Digest | None:
        """The journal as it is kept, so that rules can be applied anew: its beginning, if it is very long."""
        try:
            return self._objects.put(compressed(self._tail.again(), _RAW))
        except OSError:
            return None

    def warnings(self, run: Run) -> list[str]:
        """What the user should be told now: what may have escaped."""
        gaps = run.observation.gaps if run.observation else ()
        told = [f"vestige: {gap}" for gap in gaps if "gain privileges" in gap or "is traced itself" in gap][:1]
        if any(gap.partition(":")[0] in ("sbatch", "srun", "qsub", "bsub") for gap in gaps):
            from vestige.record import elsewhere

            told += elsewhere.lines(self._follower.executions())
        return told + self._keeper.warnings()


def final(path: str) -> Stat | None:
    """What lies at a path in the end: a regular file, or a symbolic link itself."""
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return None
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
        return None
    return Stat(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)


def readlink(path: str) -> str | None:
    try:
        return os.readlink(path)
    except (OSError, ValueError):
        return None


def _guard(ground: Ground, folder: str, guarded: _thread.LockType) -> None:
    """If the watcher is killed, answer the kernel in its place, so that the program goes on."""
    try:
        _stand_guard(ground, folder)
    finally:
        guarded.release()


def _stand_guard(ground: Ground, folder: str) -> None:
    command = identity.process(ground.command)
    select.select([ground.watched[0]], [], [])
    if os.path.exists(os.path.join(folder, "closed.json")):
        return
    try:
        ground.shared.write_rest(os.path.join(folder, "events.jsonl"))
    except OSError:
        pass  # what was written stands
    if ground.listener is not None:
        notify.stand_in(ground.listener, ground.shared.unanswered())
    else:  # programs that tell of themselves go on doing so
        while command[1] and identity.process(ground.command) == command:
            time.sleep(_TICK)
    # The launcher is the command's parent now, and says how it has ended.
    deadline = time.monotonic() + _PATIENCE
    while not os.path.exists(os.path.join(folder, "ended.json")) and time.monotonic() < deadline:
        time.sleep(_TICK)


def _tell(done: int, line: str, warnings: list[str]) -> None:
    try:
        os.write(done, os.fsencode("\n".join([*warnings, line])))
        os.close(done)
    except OSError:
        pass


__all__ = ["Recorder", "finish", "main"]
