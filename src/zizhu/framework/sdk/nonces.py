"""The durable allocator of nonces: no number is given twice, whatever crashes, and the open ones stay close together.

Decides which nonces an account signs with. A number is on disk before it is given out. What is signed and not seen
final spans at most 1,024 numbers, because the ledger remembers only so many below the highest used one: whoever asks
for more waits. Processes that sign for one account share its file; a lock beside it orders them.
Refuses to know what is signed. Source: docs/protocol, Transactions, Replay.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec

from zizhu.chain.model import limits
from zizhu.chain.model.errors import AskedWrongly, Busy, ErrorCode, OperatingFault
from zizhu.chain.model.ids import AccountId, LedgerId
from zizhu.chain.storage.atomic_file import make_folder, write_atomic_file

FORMAT = 1
FILE_BYTES_MAX = 256 * 1024
RETRY_AFTER_MS = 200

SPAN = ErrorCode(
    "sdk.nonces_open",
    "the account has signed {open} transactions that are not final yet; the oldest has nonce {oldest}, and the span "
    "may be 1,024 at most",
    "wait until they are final or expired, or use several accounts",
    "该账户已签署 {open} 笔尚未最终确认的交易;最早的 nonce 为 {oldest},跨度最多为 1,024",
    "请等待其确认或过期,或使用多个账户",
)
DAMAGED = ErrorCode(
    "sdk.nonces_damaged",
    "the nonce file {path} cannot be used: {reason}",
    "move it away once nothing of this account is on its way; it is made anew from what the ledger has seen",
    "nonce 文件 {path} 无法使用:{reason}",
    "请在确认该账户没有在途交易后移走该文件;系统会依据账本重新建立",
)
FOREIGN = ErrorCode(
    "sdk.nonces_foreign",
    "the nonce file {path} belongs to another account or ledger",
    "give every account a file of its own on every ledger",
    "nonce 文件 {path} 属于其他账户或其他账本",
    "请为每个账本上的每个账户使用各自的文件",
)

_Number = Annotated[int, msgspec.Meta(ge=1, le=limits.NUMBER_MAX)]


class _Open(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A nonce that was given out and is not known to be final, and the last height it may be used at."""

    nonce: _Number
    valid_until_height: Annotated[int, msgspec.Meta(ge=0, le=limits.NUMBER_MAX)]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`next` was never given out; `open` are in ascending order."""

    format: int
    ledger: str
    account: str
    next: _Number
    open: Annotated[list[_Open], msgspec.Meta(max_length=limits.NONCE_MAP)]


class NonceAllocator:
    """The nonces of one account on one ledger, kept in the file `path`. Safe between processes and threads."""

    def __init__(self, path: Path, *, account: AccountId, ledger: LedgerId) -> None:
        self._path = path
        self._account = account.hex()
        self._ledger = ledger.hex()

    def take(self, count: int = 1, *, valid_until_height: int, highest_used: int = 0) -> list[int]:
        """`count` (1..1,024) fresh nonces in a row, above `highest_used`, which the ledger has seen.

        They are open until `settle` or `expire`. Raises Busy (`sdk.nonces_open`) when the open ones would span more
        than 1,024; OperatingFault (`sdk.nonces_damaged`, `storage.*`); AskedWrongly (`sdk.nonces_foreign`).
        """
        assert 1 <= count <= limits.NONCE_MAP, "a bundle has at most 1,024 transactions"
        with self._locked():
            file = self._read()
            first = max(file.next, highest_used + 1)
            last = first + count - 1
            if file.open and last - file.open[0].nonce >= limits.NONCE_MAP:
                oldest = file.open[0].nonce
                raise Busy(SPAN, retry_after_ms=RETRY_AFTER_MS, open=len(file.open), oldest=oldest)
            nonces = list(range(first, last + 1))
            opened = [*file.open, *(_Open(nonce, valid_until_height) for nonce in nonces)]
            self._write(msgspec.structs.replace(file, next=last + 1, open=opened))
        return nonces

    def settle(self, nonces: Sequence[int]) -> None:
        """These are final: seen in a certified block, or told used or too old for ever."""
        self._drop(lambda one: one.nonce in nonces)

    def expire(self, certified_height: int) -> None:
        """Lets go of those whose last height is below `certified_height`: they can never come any more."""
        self._drop(lambda one: one.valid_until_height < certified_height)

    def open_nonces(self) -> list[int]:
        """Those given out and not known to be final, ascending."""
        with self._locked():
            return [one.nonce for one in self._read().open]

    def _drop(self, done: Callable[[_Open], bool]) -> None:
        with self._locked():
            file = self._read()
            left = [one for one in file.open if not done(one)]
            if len(left) < len(file.open):
                self._write(msgspec.structs.replace(file, open=left))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Holds the lock beside the file; the operating system gives it back when the process ends."""
        make_folder(self._path.parent, mode=0o700)
        try:
            handle = os.open(
                self._path.with_name(self._path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise OperatingFault(DAMAGED, path=self._path, reason=error.strerror) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _read(self) -> _File:
        try:
            with self._path.open("rb") as stream:
                data = stream.read(FILE_BYTES_MAX)
        except FileNotFoundError:
            return _File(FORMAT, self._ledger, self._account, 1, [])
        except OSError as error:
            raise OperatingFault(DAMAGED, path=self._path, reason=error.strerror) from error
        try:
            file = msgspec.json.decode(data, type=_File)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise OperatingFault(DAMAGED, path=self._path, reason=str(error)) from None
        if file.format != FORMAT:
            raise OperatingFault(DAMAGED, path=self._path, reason=f"format {file.format}, not {FORMAT}")
        if (file.account, file.ledger) != (self._account, self._ledger):
            raise AskedWrongly(FOREIGN, path=self._path)
        return file

    def _write(self, file: _File) -> None:
        write_atomic_file(self._path, msgspec.json.encode(file), mode=0o600)
