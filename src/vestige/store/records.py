"""Records and notes: one small JSON file each, written once, so that no two writers ever share a file.

    runs/2026-11/21/093012-7f3a2c91.json               a run, under the second in which it started
    notes/2026-11/21/101500-7f3a2c91-5be0d2a4.json     what was said of it later, under the second in which it was said

Two short ids that meet in one second: the later one gets more of its digits. Lists of more than 500 uses or
processes are objects, and come back when the record is read.
"""

from __future__ import annotations

import os
import time

from vestige.errors import DamagedError, NotFoundError, VestigeError
from vestige.model import plain, wire
from vestige.model.files import nothing
from vestige.model.run import FORMAT, Run, short
from vestige.model.values import field, replace, value
from vestige.store import publish
from vestige.store.objects import Objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

#: More entries than this are an object; so many stay in the record, to be seen by whoever reads it.
LONG = 500
SHOWN = 100
_LISTS = ("inputs", "outputs", "processes")
#: The objects without which a record says much less: on disk before it is.
_NEEDED = ("environment", "machine", "inputs_object", "outputs_object", "processes_object")


@value(kw_only=True)
class Note:
    """Something said of a run after it was recorded. `tags` are added, `untags` taken away; `note` stands in place of
    the run's. `forgotten`: the record was removed on purpose, and stays away even where a merge brings it back. `removed`
    are outputs of the run that need not be there any more."""

    run: str
    vestige: int = FORMAT
    time: str = ""
    user: str | None = None
    tags: tuple[str, ...] = ()
    untags: tuple[str, ...] = ()
    note: str | None = None
    forgotten: bool = False
    removed: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(default_factory=nothing)


_VALUES = b'\n  "values": {\n'
_THIS_FORMAT = f'\n  "vestige": {FORMAT}\n'.encode("ascii")
_NO_VALUES = b'\n  "values": {}'  # at the level of the document's own keys: two blanks


class Records:
    """The records and notes of one store."""

    __slots__ = ("notes", "objects", "runs", "store")

    def __init__(self, store_dir: str) -> None:
        self.store = store_dir
        self.runs = os.path.join(store_dir, "runs")
        self.notes = os.path.join(store_dir, "notes")
        self.objects = Objects(store_dir)

    def write(self, run: Run, document: wire.Document | None = None) -> str:
        """Write a record and return its path. The first record of a run stands: writing it again changes nothing.

        `document` is the record as a document, if somebody has it. Raises OSError, and leaves nothing behind.
        """
        document = dict(wire.encode(run) if document is None else document)
        for key in _LISTS:
            if len(document[key]) > LONG:
                document[key + "_object"] = self.objects.put(wire.compact(document[key]) + b"\n")
                document[key] = document[key][:SHOWN]
        for key in _NEEDED:
            if document.get(key) is not None:
                self.objects.flush(document[key])
        data = wire.dump(document)
        folder, second = _day(run.started)
        folder = os.path.join(self.runs, folder)
        mode = publish.make_folder(folder) & 0o666
        for name in _names(run.id):
            path = os.path.join(folder, f"{second}-{name}.json")
            if publish.publish(path, data, mode=mode):
                return path
            if self._id_in(path) == run.id:
                return path
        raise DamagedError(f"{path} stands where a record of {run.id} should")

    def read(self, run_id: str) -> Run:
        """One run, its long lists included. Raises NotFoundError, DamagedError, NewerFormatError."""
        path = self.path_of(run_id)
        if path is None:
            raise NotFoundError(f"there is no record of the run {run_id}", hint="vestige log lists the runs")
        return self.load(path)

    def load(self, path: str) -> Run:
        """The run in a file. Its long lists are filled in from the objects as far as those are here; see `missing`."""
        document = self.document(path)
        self.complete(document)
        try:
            return wire.decode(Run, document)
        except DamagedError as error:
            raise DamagedError(f"{path}: {error}") from error

    def document(self, path: str) -> wire.Document:
        """The file as plain JSON, as it stands. Raises NotFoundError, DamagedError, NewerFormatError."""
        return wire.load_document(_read(path), path)

    def values(self, path: str, run_id: str = "") -> Mapping[str, Any]:
        """The values that a run logged. Of a record without any nothing is taken apart. Raises as `document` does, and
        NotFoundError where another run lies there than was meant."""
        data = _read(path)
        if run_id.encode("utf-8", "surrogateescape") not in data:
            raise NotFoundError(f"{path} is not the record of {run_id}")
        if _NO_VALUES in data:
            return {}
        found = _values_in(data)
        if found is None:
            found = wire.load_document(data, path).get("values")
        return found if isinstance(found, dict) else {}

    def complete(self, document: wire.Document) -> str | None:
        """Fill a document's long lists in; what could not be filled in, in words."""
        problem = None
        for key in _LISTS:
            digest = document.get(key + "_object")
            if not isinstance(digest, str):
                continue
            try:
                document[key] = _list(self.objects.read(digest), digest)
            except VestigeError as error:
                problem = f"only the first {SHOWN} of its {key} are known: {error}"
        return problem

    def missing(self, run: Run) -> tuple[str, ...]:
        """Which of a run's long lists are known in part only, since their objects are not here."""
        digests = {"inputs": run.inputs_object, "outputs": run.outputs_object, "processes": run.processes_object}
        return tuple(key for key, digest in digests.items() if digest is not None and len(getattr(run, key)) <= SHOWN)

    def paths(self) -> Iterator[str]:
        """The files of all records, the oldest first."""
        return _files(self.runs)

    def likely_path(self, run_id: str, started: str) -> str:
        """Where the record of a run lies that started then, unless another has its short id: that is for the reader to see."""
        folder, second = _day(started)
        return os.path.join(self.runs, folder, f"{second}-{_names(run_id)[0]}.json")

    def path_of(self, run_id: str) -> str | None:
        """The file of a run's record. Looked for first on the days at which its id was made; a damaged file is taken
        by its name where there is no sound one."""
        names = tuple(f"-{name}.json" for name in _names(run_id))
        damaged = None
        for path in self._near(run_id):
            if path.endswith(names):
                found = self._id_in(path)
                if found == run_id:
                    return path
                if found is None:
                    damaged = damaged or path
        return damaged

    def add_note(self, run_id: str, note: Note) -> str:
        """Write down what was said of a run; its time is now if it has none. Raises OSError."""
        if not note.time or note.run != run_id:
            note = replace(note, run=run_id, time=note.time or _now())
        day, second = _day(note.time)
        folder = os.path.join(self.notes, day)
        mode = publish.make_folder(folder) & 0o666
        while True:
            path = os.path.join(folder, f"{second}-{short(run_id)}-{os.urandom(4).hex()}.json")
            if publish.publish(path, wire.dump(wire.encode(note)), mode=mode):
                return path

    def notes_of(self, run_id: str) -> list[Note]:
        """What was said of a run, in the order of time. A damaged note is passed over."""
        found = []
        for path in _files(self.notes):
            if f"-{short(run_id)}-" in os.path.basename(path):
                try:
                    note = self.load_note(path)
                except VestigeError:
                    continue
                if note.run == run_id:
                    found.append(note)
        return sorted(found, key=lambda note: note.time)

    def removed(self) -> set[tuple[str, str]]:
        """The outputs that were removed on purpose: run and path. A damaged note is passed over."""
        return {(note.run, one) for note in self._sound_notes() for one in note.removed}

    def forgotten(self) -> frozenset[str]:
        """The runs whose records were removed on purpose. A damaged note is passed over."""
        return frozenset(note.run for note in self._sound_notes() if note.forgotten)

    def _sound_notes(self) -> Iterator[Note]:
        for path in _files(self.notes):
            try:
                yield self.load_note(path)
            except VestigeError:
                continue

    def load_note(self, path: str) -> Note:
        """One note. Raises NotFoundError, DamagedError, NewerFormatError."""
        return parse_note(_read(path), path)

    def tombstone(self, run_id: str, *, user: str | None = None) -> None:
        """Remove a record for good. A note stays which says so. Raises NotFoundError, OSError."""
        path = self.path_of(run_id)
        if path is None:
            raise NotFoundError(f"there is no record of the run {run_id}", hint="vestige log lists the runs")
        self.add_note(run_id, Note(run=run_id, user=user, forgotten=True))
        os.unlink(path)

    def _near(self, run_id: str) -> Iterator[str]:
        """The files of all records, the likely days first."""
        likely = _likely_days(run_id)
        for folder in likely:
            for name in _list_names(os.path.join(self.runs, folder)):
                yield os.path.join(self.runs, folder, name)
        for path in self.paths():
            if os.path.dirname(path)[len(self.runs) + 1 :] not in likely:
                yield path

    def _id_in(self, path: str) -> str | None:
        """The id in a record; None where it cannot be read."""
        try:
            return str(self.document(path)["id"])
        except VestigeError:
            return None


def share_by_git(store_dir: str, *, share: bool) -> None:
    """Have git see records and notes (`records = "commit"`), or nothing of the store. Raises OSError."""
    text = "*\n"
    if share:
        kept = ("/.gitignore", "/project", "/runs/", "/runs/**", "/notes/", "/notes/**")
        text += "".join(f"!{name}\n" for name in kept) + f"{publish.TEMPORARY}*\n"
    path = os.path.join(store_dir, ".gitignore")
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    except (OSError, ValueError):
        pass
    publish.replace(path, text.encode("ascii"), mode=publish.folder_mode(store_dir) & 0o666, durable=False)


def parse_note(data: bytes, where: str) -> Note:
    """A note from its bytes. Raises DamagedError, NewerFormatError, naming `where`."""
    try:
        document = plain.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{where} is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("run"), str):
        raise DamagedError(f"{where} is not a note: it names no run")
    wire.check_version(document, where)
    return wire.decode(Note, document)


def _values_in(data: bytes) -> Any:
    """The values alone, where a record of this format is laid out as `wire.dump` does; None where it is not."""
    begin = data.find(_VALUES)
    end = data.find(b"\n  }", begin)
    if begin < 0 or end < 0 or _THIS_FORMAT not in data:
        return None
    try:
        return plain.loads(data[begin + len(_VALUES) - 2 : end + 4])
    except (ValueError, RecursionError):
        return None


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        try:
            size = os.fstat(fd).st_size + 1
            data = os.read(fd, size)
            while len(data) >= size and (more := os.read(fd, 1 << 20)):
                data += more
                size = 0
            return data
        finally:
            os.close(fd)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} is gone") from error
    except OSError as error:
        raise DamagedError(f"{path} cannot be read: {error.strerror}") from error


def _list(data: bytes, digest: str) -> list[Any]:
    try:
        items = plain.loads(data)
    except ValueError as error:
        raise DamagedError(f"{digest} is not a list") from error
    if not isinstance(items, list):
        raise DamagedError(f"{digest} is not a list")
    return items


def _day(moment: str) -> tuple[str, str]:
    """Folder and second under which something lies that happened at an ISO 8601 time."""
    digits = "".join(character for character in moment[:19] if character.isdecimal() and character.isascii())
    if len(digits) != 14:
        return "0000-00/00", "000000"
    return f"{digits[:4]}-{digits[4:6]}/{digits[6:8]}", digits[8:]


def _likely_days(run_id: str) -> list[str]:
    """The day of a version 7 id, and its neighbours: a run starts when its id is made."""
    try:
        seconds = int(run_id.replace("-", "")[:12], 16) / 1000
        moments = [time.gmtime(seconds + shift) for shift in (0, 60, -60)]
    except (ValueError, OverflowError, OSError):
        return []
    return list(dict.fromkeys(f"{t[0]:04}-{t[1]:02}/{t[2]:02}" for t in moments))


def _names(run_id: str) -> list[str]:
    """What a run's record may be called: its short id; where that is taken, more of its digits; last, all of them."""
    digits = "".join(character if character.isalnum() else "_" for character in run_id.replace("-", ""))
    return [digits[-length:] for length in (8, 12, 16, 24)] + [digits[-200:]]


def _files(top: str) -> Iterator[str]:
    for month in _list_names(top):
        for day in _list_names(os.path.join(top, month)):
            folder = os.path.join(top, month, day)
            for name in _list_names(folder):
                if name.endswith(".json"):
                    yield os.path.join(folder, name)


def _list_names(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []


def _now() -> str:
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1e6):06}Z"


__all__ = ["LONG", "SHOWN", "Note", "Records", "parse_note", "share_by_git"]
