"""A command under the preloaded library and the watcher that it asks, without a recorder: what the journal says of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.observe.watching import Preimage, Watched
from vestige.observe import preload
from vestige.observe.interface import parse
from vestige.observe.lines import first_line
from vestige.observe.notes import Notes
from vestige.observe.shared import Shared
from vestige.observe.terms import Terms
from vestige.record import secrets


def watch(
    argv: Sequence[str],
    folder: Path,
    *,
    preimage: Preimage = lambda _path, _found: (None, False),
    environ: Mapping[str, str] | None = None,
    snapshot: int | None = None,
    deaf: bool = False,
    mindful: bool = False,
) -> Watched:
    """Run a command in `folder`, which is the project's root. `snapshot`: changes wait until this descriptor is readable.

    `deaf`: nobody answers, as if the watcher were stopped.
    """
    run = folder.parent / f"{folder.name}.run"
    run.mkdir()
    journal = os.open(run / "events.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(journal, first_line().encode())
    suspicion = (secrets.MARKS, secrets.TELLING)
    due = snapshot is not None
    post = preload.Post(str(run), str(folder), [str(run)], suspicion, mindful=mindful, due=due)
    terms = Terms(str(folder), preimage=preimage, redact=_redact, snapshot_due=due)
    watching = preload.PreloadWatch(post, Notes(journal), Shared(), terms)
    variables = dict(os.environ if environ is None else environ)
    variables.update(preload.environment(variables, str(run), argv[0]))
    pid = os.fork()
    if pid == 0:
        try:
            os.chdir(folder)
            os.execvpe(argv[0], list(argv), variables)
        finally:
            os._exit(127)
    ended, end = os.pipe()
    status = []

    def wait() -> None:
        status.append(os.waitpid(pid, 0)[1])
        os.close(end)

    thread = threading.Thread(target=wait)
    thread.start()

    def taken() -> None:
        assert snapshot is not None
        watching.snapshot_taken(late=not os.read(snapshot, 1))

    if not deaf:
        others = {ended: lambda: None} if snapshot is None else {ended: lambda: None, snapshot: taken}
        watching.watch(others, lambda: bool(status))
    thread.join()
    os.close(ended)
    os.close(journal)
    assert post.lost == 0
    return Watched(list(parse((run / "events.jsonl").read_bytes().splitlines(keepends=True))), status[0])


def _redact(words: list[str]) -> list[str]:
    return ["*" if "hunter2" in word else word for word in words]
