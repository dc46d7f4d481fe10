"""The tables of `schema.sql` as an index: questions in SQL, answers as values of the model."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from vestige.model.files import Access, Digest, Role, Use
from vestige.model.query import RunQuery
from vestige.model.summary import Kind, Status, Summary
from vestige.store import columns, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vestige.model.run import Run
    from vestige.store import rows

VERSION = 3

_RUN = """
SELECT run.id, name, label, kind, status, started, duration, sequence, parent, command, cwd, exit_code, dirty,
  inputs, outputs, tags, note, gaps, host.key, host.rest, boot.key, boot.rest, user.key, user.rest,
  "commit".key, "commit".rest, snapshot.key, snapshot.rest, environment.key, environment.rest,
  listings.key, listings.rest, absent.key, absent.rest
FROM run
  LEFT JOIN word AS host ON host.key = run.host
  LEFT JOIN word AS boot ON boot.key = run.boot
  LEFT JOIN word AS user ON user.key = run.user
  LEFT JOIN word AS "commit" ON "commit".key = run."commit"
  LEFT JOIN word AS snapshot ON snapshot.key = run.snapshot
  LEFT JOIN word AS environment ON environment.key = run.environment
  LEFT JOIN word AS listings ON listings.key = run.listings
  LEFT JOIN word AS absent ON absent.key = run.absent
"""

_USE = """
SELECT run.id, path.key, path.rest, digest.key, digest.rest, before.key, before.rest,
  use.written, use.access, use.role, use.size, use.seq, use.time, use.deleted, use.kept, use.recovered, use.kind
FROM use CROSS JOIN run ON run.n = use.run CROSS JOIN word AS path ON path.key = use.path
  LEFT JOIN word AS digest ON digest.key = use.digest
  LEFT JOIN word AS before ON before.key = use.before
"""

_NEWEST_FIRST = " ORDER BY use.time DESC, use.seq DESC, use.n DESC"

#: A word whose key is held by another word breaks `rest NOT NULL`, so that nothing is ever mixed up.
_ADD_WORD = "INSERT INTO word VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET rest = NULL WHERE rest IS NOT excluded.rest"
_ADD_RUN = "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ADD_USE = "INSERT INTO use VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SLOWING = ("use_digest", "use_path")
_WORDS = 8  # how many of a run's columns, at its row's end, are words


class Tables:
    """Runs and uses in one database. Raises sqlite3's errors; transactions are the caller's."""

    __slots__ = ("db",)

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def summary(self, run_id: str) -> Summary | None:
        found = self.db.execute(_RUN + "WHERE run.id = ?", (words.storable(run_id),)).fetchone()
        return None if found is None else _summary(found)

    def matching(self, prefix: str) -> Sequence[Summary]:
        if not prefix:
            return []
        digits = prefix.lower().replace("-", "")
        known: dict[str, Summary] = {}
        questions: list[tuple[str, tuple[str, ...]]] = [
            ("WHERE run.id = ?", (words.storable(prefix),)),
            ("WHERE run.name = ?", (words.storable(prefix),)),
        ]
        if digits.isascii() and digits.isalnum():
            begin = digits if len(digits) <= 8 else digits[-8:]
            questions.append(("WHERE substr(run.id, -8) >= ? AND substr(run.id, -8) < ?", (begin, begin + "~")))
        for where, values in questions:
            for found in self.db.execute(_RUN + where, values):
                one = _summary(found)
                if len(digits) <= 8 or prefix in (one.id, one.name) or one.id.replace("-", "").endswith(digits):
                    known[one.id] = one
        return sorted(known.values(), key=_age, reverse=True)

    def runs(self, query: RunQuery) -> Iterator[Summary]:
        where, values = _conditions(query)
        count = 0
        for found in self.db.execute(f"{_RUN} {where} ORDER BY run.started DESC, run.sequence DESC, run.id DESC", values):
            if count == query.limit:
                return
            one = _summary(found)
            if query.tag is None or query.tag in one.tags:
                count += 1
                yield one

    def uses_of(self, digest: Digest, *, written: bool) -> Sequence[Use]:
        key = self._key(digest)
        if key is None:
            return []
        where = "WHERE use.written = ? AND use.digest = ?" + _NEWEST_FIRST
        return [_use(found) for found in self.db.execute(_USE + where, (int(written), key))]

    def uses_at(self, path: str, *, written: bool) -> Sequence[Use]:
        key = self._key(path)
        if key is None:
            return []
        where = "WHERE use.written = ? AND use.path = ?" + _NEWEST_FIRST
        return [_use(found) for found in self.db.execute(_USE + where, (int(written), key))]

    def uses_by(self, run_id: str, *, written: bool, every: bool = False) -> Sequence[Use]:
        sql = "SELECT first_use, last_use, n FROM run WHERE id = ?"
        found = self.db.execute(sql, (words.storable(run_id),)).fetchone()
        if found is None:
            return []
        listed = "" if every else f"AND use.role < {columns.LISTED} "
        where = f"WHERE use.n BETWEEN ? AND ? AND use.run = ? AND +use.written = ? {listed}ORDER BY use.n"
        return [_use(row) for row in self.db.execute(_USE + where, (*found, int(written)))]

    def children(self, run_id: str) -> Sequence[Summary]:
        where = "WHERE run.parent = ? ORDER BY run.started, run.sequence, run.id"
        return [_summary(found) for found in self.db.execute(_RUN + where, (words.storable(run_id),))]

    def outputs(self) -> Iterator[Use]:
        made = "written = 1 AND run NOT IN (SELECT n FROM run WHERE kind = 'reproduction')"
        newest = f"(SELECT n AS newest, max(time) FROM use WHERE {made} GROUP BY path)"  # noqa: S608 - no value of a user's
        sql = _USE.replace("FROM use", f"FROM {newest} CROSS JOIN use ON use.n = newest")
        for found in self.db.execute(sql):
            yield _use(found)

    def add(self, run: Run) -> None:
        from vestige.model import wire  # only who adds needs whole records
        from vestige.store import rows

        self.insert([rows.of(wire.encode(run))])

    def remove(self, run_id: str) -> None:
        found = self.db.execute("SELECT n, first_use, last_use FROM run WHERE id = ?", (words.storable(run_id),)).fetchone()
        if found is not None:
            n, first, last = found
            self.db.execute("DELETE FROM use WHERE n BETWEEN ? AND ? AND run = ?", (first, last, n))
            self.db.execute("DELETE FROM run WHERE n = ?", (n,))

    def insert(self, taken: Sequence[rows.Row], *, place: int | None = None) -> list[int]:
        """Take in runs, replacing those with the same ids (within one call ids must differ); their numbers."""
        texts: set[Any] = set()
        for run, uses in taken:
            texts.update(run[-_WORDS:])
            for use in uses:
                texts.update(use[:3])
        texts.discard(None)
        keys: dict[Any, int | None] = {**self._add_words(texts), None: None}
        for run_id in self.numbers([row.run.id for row in taken]):
            self.remove(run_id)
        first = self._last("run") + 1
        numbers = range(first, first + len(taken))
        next_use = self._last("use") + 1
        run_rows: list[tuple[Any, ...]] = []
        use_rows: list[tuple[Any, ...]] = []
        for (run, uses), n in zip(taken, numbers, strict=True):
            last = next_use + len(uses) - 1
            plain = run[:-_WORDS]
            codes = (keys[text] for text in run[-_WORDS:])
            run_rows.append((n, words.storable(run.id), *plain[1:], *codes, place, next_use, last))
            for at, use in enumerate(uses, next_use):
                use_rows.append((at, n, keys[use[0]], keys[use[1]], keys[use[2]], *use[3:]))
            next_use = last + 1
        self.db.executemany(_ADD_RUN, run_rows)
        self.db.executemany(_ADD_USE, use_rows)
        return list(numbers)

    def numbers(self, run_ids: Sequence[str]) -> dict[str, int]:
        """The numbers of the runs that are known."""
        found: dict[str, int] = {}
        ids = [words.storable(run_id) for run_id in run_ids]
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            sql = f"SELECT id, n FROM run WHERE id IN ({', '.join('?' * len(part))})"  # noqa: S608  # only question marks
            found.update((words.restored(run_id), n) for run_id, n in self.db.execute(sql, part))
        return found

    def _last(self, table: str) -> int:
        return cast("int", self.db.execute(f"SELECT coalesce(max(n), 0) FROM {table}").fetchone()[0])  # noqa: S608

    def _add_words(self, texts: Iterable[str]) -> dict[str, int]:
        """The keys of texts, which are in the table afterwards."""
        found = {text: words.key_of(text) for text in texts}
        if len({key for key, _ in found.values()}) == len(found):
            try:
                self.db.executemany(_ADD_WORD, found.values())
                return {text: key for text, (key, _) in found.items()}
            except sqlite3.IntegrityError:
                pass
        return {text: self._settle(text) for text in found}

    def _settle(self, text: str) -> int:
        """Put a text into the table whose key may be taken by another."""
        key, free, rest = self._look_for(text)
        if key is None:
            self.db.execute("INSERT INTO word VALUES (?, ?)", (free, rest))
        return free if key is None else key

    def _key(self, text: str) -> int | None:
        """The key of a text that is in the table."""
        return self._look_for(text)[0]

    def _look_for(self, text: str) -> tuple[int | None, int, str | bytes]:
        """The key of a text, if it is in the table; where it ends otherwise, and what is stored there."""
        key, rest = words.key_of(text)
        while (held := self.db.execute("SELECT rest FROM word WHERE key = ?", (key,)).fetchone()) is not None:
            if held[0] == rest:
                return key, key, rest
            key, rest = words.next_key(key), words.storable(text)
        return None, key, rest


def create(db: sqlite3.Connection) -> None:
    """Make the tables where they are not there."""
    db.executescript(f"BEGIN IMMEDIATE; {_schema()} COMMIT;")


def leave_unfinished(db: sqlite3.Connection) -> None:
    """Do without what makes questions quick and taking in slow, until `finish` is called."""
    for name in _SLOWING:
        db.execute(f"DROP INDEX IF EXISTS {name}")


def finish(db: sqlite3.Connection) -> None:
    """Make what was left."""
    for line in _schema().splitlines():
        if line.startswith(tuple(f"CREATE INDEX IF NOT EXISTS {name} " for name in _SLOWING)):
            db.execute(line)


def is_finished(db: sqlite3.Connection) -> bool:
    """Whether nothing was left unfinished."""
    found = db.execute("SELECT count(*) FROM sqlite_master WHERE name IN (?, ?)", _SLOWING).fetchone()
    return bool(found[0] == len(_SLOWING))


def _schema() -> str:
    with open(os.path.join(os.path.dirname(__file__), "schema.sql"), encoding="utf-8") as file:
        return file.read()


def _conditions(query: RunQuery) -> tuple[str, list[object]]:
    terms: list[str] = []
    values: list[object] = []
    for term, value in (
        ("run.status = ?", query.status),
        ("run.kind = ?", query.kind),
        ("run.parent = ?", query.parent),
        ("user.rest = ?", query.user),
        ("run.started >= ?", columns.instant(query.since)),
        ("run.name GLOB ?", None if query.name is None else query.name.replace("[", "[[]")),
    ):
        if value is not None:
            terms.append(term)
            values.append(words.storable(value) if isinstance(value, str) else value)
    return ("WHERE " + " AND ".join(terms) if terms else "", values)


def _word(key: int | None, rest: str | bytes | None) -> str | None:
    return None if key is None or rest is None else words.text_of(key, rest)


def _use(found: tuple[Any, ...]) -> Use:
    run, path, path_rest, digest, digest_rest, before, before_rest, written, access, role, size, seq, time, *rest = found
    deleted, kept, recovered, kind = rest
    return Use(
        words.restored(run),
        words.text_of(path, path_rest),
        _word(digest, digest_rest),
        _word(before, before_rest),
        bool(written),
        cast("Access", columns.ACCESS[access] if isinstance(access, int) else access),
        cast("Role", columns.ROLE[role] if isinstance(role, int) else role),
        size,
        seq,
        columns.iso(time),
        bool(deleted),
        bool(kept),
        bool(recovered),
        kind,
    )


def _summary(found: tuple[Any, ...]) -> Summary:
    run_id, name, label, kind, status, started, duration, sequence, parent, command, cwd, exit_code, dirty = found[:13]
    inputs, outputs, tags, note, gaps = found[13:18]
    texts = (_word(found[at], found[at + 1]) for at in range(18, 34, 2))
    host, boot, user, commit, snapshot, environment, listings, absent = texts
    return Summary(
        id=words.restored(run_id),
        name=_restored(name),
        label=words.restored(label),
        kind=cast("Kind", words.restored(kind)),
        status=cast("Status", words.restored(status)),
        started=columns.iso(started),
        duration=duration,
        sequence=sequence,
        host=host or "",
        boot=boot,
        parent=_restored(parent),
        user=user,
        command=columns.parted(command),
        cwd=words.restored(cwd),
        exit_code=exit_code,
        commit=commit,
        dirty=None if dirty is None else bool(dirty),
        snapshot=snapshot,
        environment=environment,
        inputs=inputs,
        outputs=outputs,
        tags=columns.parted(tags),
        note=_restored(note),
        gaps=gaps,
        listings=listings,
        absent=absent,
    )


def _restored(text: str | None) -> str | None:
    return None if text is None else words.restored(text)


def _age(one: Summary) -> tuple[str, int, str]:
    return one.started, one.sequence, one.id


__all__ = ["VERSION", "Tables", "create", "finish", "is_finished", "leave_unfinished"]
