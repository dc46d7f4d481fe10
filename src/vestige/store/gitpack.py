"""Git's packs: one read by its index, one written object by object. Formats as in gitformat-pack(5)."""

from __future__ import annotations

import contextlib
import mmap
import os
import zlib
from collections.abc import Callable, Iterable

from vestige.model import sha1
from vestige.model.gitformat import (
    OFFSET_DELTA,
    PACK_KINDS,
    REFERENCE_DELTA,
    FormatError,
    apply_delta,
    pack_header,
    parse_offset,
    parse_pack_header,
    result_size,
)
from vestige.store import publish

#: Headers in a pack are shorter than this.
_HEADER = 32
_REMEMBERED = 64  # bases of deltas that are kept inflated


class Pack:
    """One pack file and its index, version 2."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._index: mmap.mmap | bytes | None = None
        self._data: mmap.mmap | bytes | None = None
        self._count = 0
        self._bases: dict[int, tuple[bytes, bytes]] = {}

    def oids(self) -> list[str]:
        """Every object in the pack."""
        index = self._open_index()
        start = 8 + 1024
        return [index[start + 20 * at : start + 20 * at + 20].hex() for at in range(self._count)]

    def find(self, raw: bytes) -> int | None:
        """Where in the pack an object begins."""
        try:
            index = self._open_index()
        except OSError:
            return None
        if not self._count:
            return None
        first = raw[0]
        low = int.from_bytes(index[8 + 4 * first - 4 : 8 + 4 * first], "big") if first else 0
        high = int.from_bytes(index[8 + 4 * first : 12 + 4 * first], "big")
        names = 8 + 1024
        while low < high:
            middle = (low + high) // 2
            name = index[names + 20 * middle : names + 20 * middle + 20]
            if name < raw:
                low = middle + 1
            elif name > raw:
                high = middle
            else:
                return self._offset(index, middle)
        return None

    def read(self, offset: int, elsewhere: Callable[[str], tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
        """Kind and content of the object at an offset; a base that lies in no pack of ours is read `elsewhere`."""
        if self._data is None:
            self._data = _mapped(self.path)
        deltas = []
        while True:
            if offset in self._bases:
                kind, data = self._bases[offset]
                break
            number, size, header = parse_pack_header(self._data[offset : offset + _HEADER])
            at = offset + header
            if number == OFFSET_DELTA:
                back, used = parse_offset(self._data[at : at + _HEADER])
                deltas.append((offset, self._inflate(at + used, size)))
                offset -= back
            elif number == REFERENCE_DELTA:
                base = self._data[at : at + 20]
                deltas.append((offset, self._inflate(at + 20, size)))
                found = self.find(base)
                if found is None:
                    kind, data = elsewhere(base.hex())
                    break
                offset = found
            else:
                kind, data = PACK_KINDS[number], self._inflate(at, size)
                deltas.append((offset, b""))
                break
        while deltas:
            at, delta = deltas.pop()
            data = apply_delta(data, delta) if delta else data
            self._remember(at, kind, data)
        return kind, data

    def size(self, offset: int) -> int:
        """Size of the object at an offset: a delta says it in its first bytes."""
        if self._data is None:
            self._data = _mapped(self.path)
        number, size, header = parse_pack_header(self._data[offset : offset + _HEADER])
        if number in PACK_KINDS:
            return size
        at = offset + header
        at += parse_offset(self._data[at : at + _HEADER])[1] if number == OFFSET_DELTA else 20
        return result_size(zlib.decompressobj().decompress(self._data[at : at + 128], 32))

    def _remember(self, offset: int, kind: bytes, data: bytes) -> None:
        if len(data) > 1 << 20:
            return
        if len(self._bases) >= _REMEMBERED:
            del self._bases[next(iter(self._bases))]
        self._bases[offset] = kind, data

    def _inflate(self, at: int, size: int) -> bytes:
        data = self._data or b""
        engine = zlib.decompressobj()
        out = engine.decompress(data[at : at + size + size // 1000 + 64])  # no longer than zlib can make it
        while not engine.eof:
            at += size + size // 1000 + 64
            more = data[at : at + 4096]
            if not more:
                raise FormatError("a pack ends in the middle of an object")
            out += engine.decompress(more)
            size = 4096 - 64 - 4
        return out

    def _open_index(self) -> mmap.mmap | bytes:
        if self._index is None:
            index = _mapped(self.path[: -len("pack")] + "idx")
            usable = index[:8] == b"\xfftOc\0\0\0\2"
            self._count = int.from_bytes(index[8 + 1020 : 8 + 1024], "big") if usable else 0
            self._index = index
        return self._index

    def _offset(self, index: mmap.mmap | bytes, position: int) -> int:
        offsets = 8 + 1024 + 24 * self._count
        value = int.from_bytes(index[offsets + 4 * position : offsets + 4 * position + 4], "big")
        if value & 0x80000000:
            large = offsets + 4 * self._count + 8 * (value & 0x7FFFFFFF)
            value = int.from_bytes(index[large : large + 8], "big")
        return value


class PackWriter:
    """A pack under way: objects are appended whole, and the index is written when it is closed."""

    def __init__(self, folder: str) -> None:
        publish.make_folder(folder)
        self.oids: dict[str, tuple[int, int]] = {}  # offset, CRC
        self._folder = folder
        self._fd, self._hidden = publish.temporary(folder, 0o444)
        self._file = os.fdopen(self._fd, "w+b")
        self._file.write(b"PACK" + (2).to_bytes(4, "big") + bytes(4))
        self._at = 12

    def add(self, oid: str, kind: bytes, data: bytes) -> None:
        number = next(number for number, name in PACK_KINDS.items() if name == kind)
        raw = pack_header(number, len(data)) + zlib.compress(data, 1)
        self._file.write(raw)
        self.oids[oid] = self._at, zlib.crc32(raw)
        self._at += len(raw)

    def close(self) -> list[str]:
        """Give pack and index their names, which they get from their content; the paths of both."""
        if not self.oids:
            return []
        self._file.seek(8)
        self._file.write(len(self.oids).to_bytes(4, "big"))
        self._file.flush()
        trailer = bytes.fromhex(_sha1_of(self._hidden))
        self._file.seek(0, os.SEEK_END)
        self._file.write(trailer)
        self._file.close()
        stem = os.path.join(self._folder, f"pack-{trailer.hex()}")
        publish.claim(self._hidden, stem + ".pack")
        publish.publish(stem + ".idx", self._index(trailer), mode=0o444, durable=False)
        return [stem + ".pack", stem + ".idx"]

    def discard(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        publish.discard(self._hidden)

    def _index(self, trailer: bytes) -> bytes:
        names = sorted(self.oids)
        firsts = [int(name[:2], 16) for name in names]
        counts = [0] * 256
        for first in firsts:
            counts[first] += 1
        total, fan = 0, []
        for count in counts:
            total += count
            fan.append(total)
        large = [self.oids[name][0] for name in names if self.oids[name][0] >= 1 << 31]
        position = {offset: at for at, offset in enumerate(large)}
        parts = [
            b"\xfftOc\0\0\0\2",
            _big(fan),
            bytes.fromhex("".join(names)),
            _big(self.oids[name][1] for name in names),
            _big(0x80000000 | position[at] if at in position else at for at in (self.oids[name][0] for name in names)),
            b"".join(offset.to_bytes(8, "big") for offset in large),
            trailer,
        ]
        data = b"".join(parts)
        return data + bytes.fromhex(sha1.of(data))


def _mapped(path: str) -> mmap.mmap | bytes:
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _sha1_of(path: str) -> str:
    from hashlib import file_digest

    with open(path, "rb") as file:
        return file_digest(file, "sha1").hexdigest()


def _big(numbers: Iterable[int]) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in numbers)
