"""Where a custodian keeps the files it took: on its own disk, each under its own digest.

Decides that a file is whole and durable before anybody is told of it, and that the same file is kept once. Refuses to
know vouchers. What is read back is *not* checked here: whoever fetches a file compares it with the ledger.
"""

import os
import secrets
from pathlib import Path
from typing import BinaryIO

from zizhu.chain.model.errors import ErrorCode, OperatingFault
from zizhu.chain.storage.atomic_file import make_folder, sync_folder
from zizhu.components.evidence.digests import Digester

INCOMING = "incoming"

UNWRITABLE = ErrorCode(
    "voucher.storage",
    "the custodian cannot keep the file: {reason}",
    "free space on the member's disk, or register at another member",
    "托管方无法保存文件:{reason}",
    "请清理该成员的磁盘空间,或改向其他成员登记",
)


class Draft:
    """A file on its way in: written to a temporary file and digested as it comes."""

    def __init__(self, folder: Path, algorithm: str) -> None:
        self._folder = folder
        self._algorithm = algorithm
        self._digester = Digester((algorithm,))
        self._path = folder / INCOMING / secrets.token_hex(16)
        try:
            self._stream: BinaryIO = self._path.open("xb")
        except OSError as error:
            raise OperatingFault(UNWRITABLE, reason=error.strerror) from error

    @property
    def length(self) -> int:
        """Bytes so far."""
        return self._digester.length

    def write(self, data: bytes) -> None:
        """The next bytes. Raises OperatingFault (`voucher.storage`)."""
        self._digester.update(data)
        try:
            self._stream.write(data)
        except OSError as error:
            raise OperatingFault(UNWRITABLE, reason=error.strerror) from error

    def digest(self) -> bytes:
        """The digest of what has come."""
        return self._digester.digests()[self._algorithm]

    def keep(self) -> None:
        """The file is whole: durable under its digest when this returns. Raises OperatingFault (`voucher.storage`)."""
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            os.replace(self._path, self._folder / file_name(self._algorithm, self.digest()))
            sync_folder(self._folder)
        except OSError as error:
            raise OperatingFault(UNWRITABLE, reason=error.strerror) from error

    def drop(self) -> None:
        """Forgets the file, unless it was kept."""
        self._stream.close()
        self._path.unlink(missing_ok=True)


class Vault:
    """The files of one custodian, in `folder`."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder, and removes what a crash left half. Raises OperatingFault (`storage.write_failed`)."""
        self.folder = folder
        make_folder(folder / INCOMING, mode=0o700)
        for path in sorted((folder / INCOMING).iterdir()):
            path.unlink(missing_ok=True)

    def draft(self, algorithm: str) -> Draft:
        """A new file, digested by `algorithm`."""
        return Draft(self.folder, algorithm)

    def find(self, algorithm: str, digest: bytes) -> Path | None:
        """Where the file with this digest lies, or None."""
        path = self.folder / file_name(algorithm, digest)
        return path if path.is_file() else None


def file_name(algorithm: str, digest: bytes) -> str:
    """The name of a kept file."""
    return f"{algorithm}-{digest.hex()}"
