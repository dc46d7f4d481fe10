"""Digests that other systems took, and the BLAKE3 of the same content, where it is still to be had.

Lineage links what has equal digests, and Vestige itself knows files by BLAKE3. So where a file lies whose digest by the
record's own algorithm is the recorded one (at the path that the record names, where its system put a copy, or moved elsewhere
in the project), its BLAKE3 stands in the record, and the stated digest beside it. Then every other use of that content, in
this import and in later ones, has it, too, whether its file is still there or not. What cannot be found keeps its digest as
it is; so does a content that an earlier import had to leave so, since two names for one content would part what belongs
together.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping

from vestige.capture import digest
from vestige.capture.digest import DigestCache
from vestige.exchange.interface import Claim
from vestige.model.files import Digest, FileUse
from vestige.model.values import replace, value

Progress = Callable[[int, int], None]

#: Folders in which nobody keeps data.
PASSED = frozenset({".git", ".hg", ".svn", ".vestige", "__pycache__", "node_modules", "site-packages", ".venv"})
#: More files than this are not looked at for what was moved.
_MOST = 500_000

#: The key of a use under which the digest stands that another system took.
STATED = "stated"


@value
class Content:
    """A content as a record should have it, and where it lies, if that is known."""

    digest: Digest | None
    size: int | None
    place: str | None = None


class Contents:
    """Finds contents by the digests of others. `same` are those that are known already: stated digest and ours."""

    def __init__(self, same: Mapping[Digest, Digest], cache: DigestCache | None = None) -> None:
        self._same = dict(same)
        self._places: dict[Digest, tuple[str, int]] = {}
        self._stated: dict[tuple[str, str], tuple[Digest, int] | None] = {}
        self._cache = cache

    def look(self, claims: Iterable[Claim], progress: Progress = lambda _, __: None) -> None:
        """Look for all that records name. Each file is read once for each algorithm."""
        wanted = list(claims)
        for number, claim in enumerate(wanted, 1):
            if claim.digest is None:
                self.of(claim)
            elif claim.digest not in self._places:
                self._find(claim, claim.digest)
            progress(number, len(wanted))

    def search(self, root: str, claims: Iterable[Claim], seen: Callable[[], None] = lambda: None) -> None:
        """Look below a folder for what was moved or renamed since: files of the size of something that is still missing."""
        missing: dict[int, list[Claim]] = {}
        for claim in claims:
            if claim.digest is not None and claim.digest not in self._places and claim.size:
                missing.setdefault(claim.size, []).append(claim)
        looked = 0
        for folder, folders, names in os.walk(root) if missing else ():
            seen()
            folders[:] = sorted(name for name in folders if name not in PASSED)
            for name in sorted(names):
                looked += 1
                if not missing or looked > _MOST:
                    return
                self._is_one_of(os.path.join(folder, name), missing)

    def _is_one_of(self, place: str, missing: dict[int, list[Claim]]) -> None:
        try:
            found = os.lstat(place)
        except OSError:
            return
        for claim in missing.get(found.st_size, ()) if stat.S_ISREG(found.st_mode) else ():
            assert claim.digest is not None
            self._find(replace(claim, path=place, places=()), claim.digest)
        left = [claim for claim in missing.pop(found.st_size, ()) if claim.digest not in self._places]
        if left:
            missing[found.st_size] = left

    def of(self, claim: Claim) -> Content:
        """The content of a file that a record names."""
        if claim.digest is None:
            return self._found(claim) if claim.found else Content(None, claim.size)
        place, size = self._places.get(claim.digest, (None, claim.size))
        return Content(self._same.get(claim.digest, claim.digest), size, place)

    def _find(self, claim: Claim, stated: Digest) -> None:
        algorithm = stated.partition(":")[0]
        for place in (claim.path, *claim.places):
            found = self._digest_at(place, algorithm, claim.size)
            if found is None or found[0] != stated:
                continue
            self._places[stated] = (place, found[1])
            if algorithm == "blake3":
                return
            ours = self._digest_at(place, "blake3", found[1])
            if ours is not None and self._digest_at(place, algorithm, found[1], again=True) == found:
                self._same.setdefault(stated, ours[0])
                return

    def _digest_at(self, place: str, algorithm: str, size: int | None, *, again: bool = False) -> tuple[Digest, int] | None:
        """Digest and size of what lies there; None where that has another size, or cannot be read."""
        try:
            if size is not None and os.stat(place).st_size != size:
                return None
            if again or (place, algorithm) not in self._stated:
                signature, found = digest.of_file(place, self._cache, algorithm=algorithm)
                self._stated[place, algorithm] = None if found is None else (found, signature.size)
        except (OSError, ValueError):
            self._stated[place, algorithm] = None
        return self._stated[place, algorithm]

    def _found(self, claim: Claim) -> Content:
        """What lies there now, for a record that knew no digests."""
        for place in (*claim.places, claim.path):
            found = self._digest_at(place, "blake3", None)
            if found is not None:
                return Content(found[0], found[1], place)
        return Content(None, claim.size)


def same(uses: Iterable[FileUse]) -> dict[Digest, Digest]:
    """What earlier imports found: stated digests and what stands in their place. A digest that stands for itself is one that
    could not be found then."""
    found: dict[Digest, Digest] = {}
    for use in uses:
        stated = use.extra.get(STATED)
        if isinstance(stated, str) and use.digest is not None:
            found[stated] = use.digest
        elif use.digest is not None and not use.digest.startswith("blake3:"):
            found[use.digest] = use.digest
    return found


__all__ = ["PASSED", "STATED", "Content", "Contents", "same"]
