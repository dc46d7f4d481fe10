"""Bringing an index up to date with the records of a store.

What has to be done was found without a lock. It is done in short transactions, each of which checks that nobody else
has done it, so that two processes which make the same index share the work.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from vestige.errors import VestigeError
from vestige.store import columns, reading, rows, tables, words
from vestige.store.comparison import File, Plan, file_of
from vestige.store.reading import Read
from vestige.store.records import Note, Records, parse_note
from vestige.store.tables import Tables

#: How long a transaction may last while very many records are taken in, and how long others then get a chance, in seconds.
_HOLD = 1.5
_PAUSE = 0.1

Progress: TypeAlias = Callable[[int, int], None]


def apply(index: Tables, records: Records, todo: Plan, progress: Progress | None = None) -> None:
    """Bring the index up to date. Raises sqlite3.OperationalError where another process holds it too long."""
    said = [file for file in todo.new if file.folder.startswith("notes/")]
    new = [file for file in todo.new if not file.folder.startswith("notes/")]
    if said or todo.gone or todo.gone_folders:
        new += _apply_notes(index, records, said, todo)
    _take_all(index, records, new, progress)
    if todo.unfinished or len(new) >= reading.MANY:
        tables.finish(index.db)
    if todo.folders:
        with _Transaction(index):
            sql = (
                "INSERT INTO folder (path, mtime, listed, settled) VALUES (?, ?, ?, ?) ON CONFLICT (path) "
                "DO UPDATE SET mtime = excluded.mtime, listed = excluded.listed, settled = excluded.settled"
            )
            index.db.executemany(sql, [(words.storable(path), *rest) for path, *rest in todo.folders])


class _Transaction:
    """All or nothing, and nobody else meanwhile."""

    __slots__ = ("db",)

    def __init__(self, index: Tables) -> None:
        self.db = index.db

    def __enter__(self) -> None:
        self.db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.db.execute("COMMIT")
        elif self.db.in_transaction:
            self.db.execute("ROLLBACK")


def _take_all(index: Tables, records: Records, files: Sequence[File], progress: Progress | None) -> None:
    many = len(files) >= reading.MANY
    if many and index.db.execute("SELECT 1 FROM run LIMIT 1").fetchone() is None:
        tables.leave_unfinished(index.db)
    source = reading.batches(records, files)
    done, more = 0, bool(files)
    while more:
        with _Transaction(index):
            limit = time.monotonic() + _HOLD
            more = False
            for taken in source:
                _take(index, taken)
                done += len(taken)
                if not many or time.monotonic() > limit:
                    more = True
                    break
        if progress is not None:
            progress(done, len(files))
        if many and more:
            time.sleep(_PAUSE)


def _take(index: Tables, taken: Sequence[Read]) -> None:
    """Put records into the index which nobody else has put there meanwhile."""
    folders = {file.folder: _folder(index, file.folder) for file, _, _ in taken}
    quiet = index.db.execute("SELECT 1 FROM note LIMIT 1").fetchone() is None
    fresh: dict[str, rows.Row] = {}
    files = []
    replaced: set[int] = set()
    for file, row, reason in taken:
        known = _known(index, folders[file.folder], file)
        if known is not None:
            *same, n = known
            if same == [file.inode, file.ctime, reason]:
                continue
            replaced.update(() if n is None else (n,))
        kept = row if row is None or quiet else _as_said(index, row)
        if row is not None and kept is None:
            index.remove(row.run.id)
        if kept is not None:
            fresh[kept.run.id] = kept
        files.append((file, kept, reason))
    before = index.numbers(list(fresh))
    numbers = dict(zip(fresh, index.insert(list(fresh.values())), strict=True))
    moved = [(numbers[run_id], n) for run_id, n in before.items()]
    index.db.executemany("UPDATE file SET run = ? WHERE run = ?", moved)
    index.db.executemany(
        "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?)",
        [
            (
                folders[file.folder],
                words.storable(file.name),
                file.inode,
                file.ctime,
                None if row is None else numbers[row.run.id],
                None if reason is None else words.storable(reason),
            )
            for file, row, reason in files
        ],
    )
    for n in replaced:
        _drop_run(index, n)


def _known(index: Tables, folder: int, file: File) -> tuple[int, int, str | None, int | None] | None:
    """What is known of a file: inode, change time, reason, run."""
    sql = "SELECT inode, ctime, reason, run FROM file WHERE folder = ? AND name = ?"
    found = index.db.execute(sql, (folder, words.storable(file.name))).fetchone()
    if found is None:
        return None
    inode, ctime, reason, run = found
    return inode, ctime, None if reason is None else words.restored(reason), run


def _folder(index: Tables, path: str) -> int:
    index.db.execute("INSERT OR IGNORE INTO folder (path, mtime, listed, settled) VALUES (?, -1, 0, 0)", (words.storable(path),))
    return int(index.db.execute("SELECT n FROM folder WHERE path = ?", (words.storable(path),)).fetchone()[0])


def _as_said(index: Tables, row: rows.Row) -> rows.Row | None:
    """A run with what was said of it since; None if it was forgotten."""
    sql = "SELECT tags, untags, note, forgotten FROM note WHERE run = ? ORDER BY time, name"
    found = index.db.execute(sql, (words.storable(row.run.id),)).fetchall()
    if not found:
        return row
    tags = dict.fromkeys(columns.parted(row.run.tags))
    note = row.run.note
    for added, removed, text, forgotten in found:
        if forgotten:
            return None
        tags |= dict.fromkeys(columns.parted(added))
        tags = dict.fromkeys(tag for tag in tags if tag not in columns.parted(removed))
        note = note if text is None else text
    return row._replace(run=row.run._replace(tags=columns.joined(list(tags)), note=note))


def _apply_notes(index: Tables, records: Records, said: Sequence[File], todo: Plan) -> list[File]:
    """Take in notes, drop what is gone; the records that have to be read again, since something was said of them."""
    read = list(_parsed_notes(records, said))
    again: list[File] = []
    with _Transaction(index):
        unsaid = _drop(index, todo)
        for file, note, reason in read:
            folder = _folder(index, file.folder)
            text = None if reason is None else words.storable(reason)
            row = (folder, words.storable(file.name), file.inode, file.ctime, None, text)
            index.db.execute("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?)", row)
            if note is not None:
                _put_note(index, folder, file.name, note)
                again += _unread(index, words.storable(note.run))
        for run_id in unsaid:
            again += _unread(index, run_id) or _found(index, records, words.restored(run_id))
    return again


def _parsed_notes(records: Records, files: Sequence[File]) -> Iterator[tuple[File, Note | None, str | None]]:
    for file in files:
        path = os.path.join(records.store, file.folder, file.name)
        try:
            with open(path, "rb") as opened:
                yield file, parse_note(opened.read(), path), None
        except FileNotFoundError:
            continue
        except (VestigeError, OSError) as error:
            yield file, None, str(error)


def _put_note(index: Tables, folder: int, name: str, note: Note) -> None:
    tags, untags = columns.joined(note.tags), columns.joined(note.untags)
    text = None if note.note is None else words.storable(note.note)
    run_id, time = words.storable(note.run), words.storable(note.time)
    row = (folder, words.storable(name), run_id, time, tags, untags, text, int(note.forgotten))
    index.db.execute("INSERT OR REPLACE INTO note VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


def _drop(index: Tables, todo: Plan) -> set[str]:
    """Drop files that are gone, and the runs of which no record is left; the runs whose notes are gone."""
    concerned: set[str] = set()
    gone = [(folder, words.storable(name)) for folder, name in todo.gone]
    for folder in todo.gone_folders:
        gone += [(folder, name) for (name,) in index.db.execute("SELECT name FROM file WHERE folder = ?", (folder,))]
    for key in gone:
        for (run_id,) in index.db.execute("SELECT run FROM note WHERE folder = ? AND name = ?", key).fetchall():
            concerned.add(run_id)
        found = index.db.execute("SELECT run FROM file WHERE folder = ? AND name = ?", key).fetchone()
        index.db.execute("DELETE FROM note WHERE folder = ? AND name = ?", key)
        index.db.execute("DELETE FROM file WHERE folder = ? AND name = ?", key)
        if found is not None and found[0] is not None:
            _drop_run(index, found[0])
    index.db.executemany("DELETE FROM folder WHERE n = ?", [(folder,) for folder in todo.gone_folders])
    return concerned


def _drop_run(index: Tables, n: int) -> None:
    """Drop a run, unless another file holds the same record."""
    if index.db.execute("SELECT 1 FROM file WHERE run = ?", (n,)).fetchone() is None:
        found = index.db.execute("SELECT id FROM run WHERE n = ?", (n,)).fetchone()
        if found is not None:
            index.remove(words.restored(found[0]))


def _unread(index: Tables, run_id: str) -> list[File]:
    """The files of a run's record, which count as unread from now on."""
    sql = """
        SELECT path, file.name, inode, ctime, folder FROM run JOIN file ON file.run = run.n JOIN folder ON folder.n = file.folder
        WHERE run.id = ?
    """
    found = index.db.execute(sql, (run_id,)).fetchall()
    index.db.executemany("DELETE FROM file WHERE name = ? AND folder = ?", [(name, n) for _, name, _, _, n in found])
    return [File(words.restored(folder), words.restored(name), inode, ctime) for folder, name, inode, ctime, _ in found]


def _found(index: Tables, records: Records, run_id: str) -> list[File]:
    """The file of a run which the index does not have, since it was forgotten."""
    path = records.path_of(run_id)
    if path is None:
        return []
    folder, name = os.path.split(os.path.relpath(path, records.store))
    key = (words.storable(name), words.storable(folder))
    index.db.execute("DELETE FROM file WHERE name = ? AND folder = (SELECT n FROM folder WHERE path = ?)", key)
    return [file_of(folder, name, os.stat(path))]
