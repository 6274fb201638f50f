"""Members of a zip file, each read whole and never larger than a bound.

``zipfile`` of Python before 3.14 does not decompress zstd, which inspect writes; Arrow does.
"""

import struct
import zipfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.interop.readers.records import DamagedError

MAX_MEMBER_BYTES = 256 * 2**20
MAX_FILE_BYTES = 64 * 2**30
"""The most bytes of all members together: a small file that claims more is made to fill a disk."""
_ZSTD = 93
_LOCAL_HEADER = 30


class Zipped:
    """An open zip file."""

    def __init__(self, file: Path) -> None:
        """Opens the archive.

        Raises:
            DamagedError: It is none, or holds more than a log does.
        """
        self._file = file
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DamagedError(file, "", f"is no whole zip file: {reason}") from error
        total = sum(each.file_size for each in self._zip.infolist())
        if total > MAX_FILE_BYTES:
            raise DamagedError(file, "", f"holds {total:,} bytes; a log has {MAX_FILE_BYTES:,}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the archive."""
        self._zip.close()

    def names(self) -> list[str]:
        """Names of all members, each once, in order."""
        return list(dict.fromkeys(self._zip.namelist()))

    def read(self, name: str) -> bytes:
        """One member; where a name is there twice, the last.

        Raises:
            DamagedError: It is too large, damaged, or compressed in another way.
        """
        member = self._zip.getinfo(name)
        if member.file_size > MAX_MEMBER_BYTES:
            raise DamagedError(
                self._file, name, f"has {member.file_size:,} bytes; at most {MAX_MEMBER_BYTES:,}"
            )
        try:
            if member.compress_type == _ZSTD:
                return self._read_zstd(member)
            with self._zip.open(member) as stream:
                return stream.read(MAX_MEMBER_BYTES)
        except (
            *(zipfile.BadZipFile, zlib.error, OSError, EOFError),
            *(ValueError, RuntimeError, NotImplementedError, struct.error),
        ) as error:
            raise DamagedError(self._file, name, f"cannot be unpacked: {error}") from error

    def _read_zstd(self, member: zipfile.ZipInfo) -> bytes:
        import pyarrow as pa

        with self._file.open("rb") as stream:
            stream.seek(member.header_offset)
            header = stream.read(_LOCAL_HEADER)
            if header[:4] != b"PK\x03\x04":
                raise zipfile.BadZipFile("its header is damaged")
            name_bytes, extra_bytes = struct.unpack("<HH", header[26:30])
            stream.seek(name_bytes + extra_bytes, 1)
            packed = stream.read(member.compress_size)
        # One byte more than it says to have shows that it has more, and no more is unpacked.
        unpacked = pa.CompressedInputStream(pa.BufferReader(packed), "zstd")
        data = bytes(unpacked.read(member.file_size + 1))
        if len(data) != member.file_size or zlib.crc32(data) != member.CRC:
            raise zipfile.BadZipFile("its size or checksum is another")
        return data
