"""The custodian: the service of a member that takes files, keeps them, and writes their digests to the ledger.

Decides what is checked before a voucher is registered: the custodian computes the digest itself, by the algorithm
agreed for the type, and refuses a file whose digest is not the one the uploader named. Nothing is called registered
before it is final. Runs in the member's node process and signs as the member's issuer account, whose key stays here.
Refuses to know HTTP (`routes`), and consensus (`node.backend`).
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from zizhu.chain.contracts.port import CallResult
from zizhu.chain.crypto.hashing import genesis_contract_id
from zizhu.chain.ledger.keys import NO_ACCOUNT, NonceUse
from zizhu.chain.model.errors import AskedWrongly, Busy, ErrorCode, OperatingFault
from zizhu.chain.model.ids import AccountId, TransactionId
from zizhu.chain.model.receipt import Receipt
from zizhu.chain.model.transaction import Invoke
from zizhu.chain.model.value import Value, decode_value, encode_arguments
from zizhu.chain.node.backend import Backend
from zizhu.chain.node.events import Accepted, Expired, Rejected
from zizhu.components.evidence.package import UNKNOWN_TYPE, failure
from zizhu.components.evidence.reading import AsOf, EvidenceReader
from zizhu.components.evidence.record import Record, Registered, read_registered
from zizhu.framework.sdk.client import EXPIRED, NOT_FINAL, QueryAnswer
from zizhu.framework.sdk.keys import Account
from zizhu.framework.sdk.nonces import NonceAllocator
from zizhu.framework.sdk.transactions import LIFETIME_BLOCKS, Call, Numbers, Target, call_body, sign_single
from zizhu.scenarios.credentials.contract import CONTRACT_NAME
from zizhu.scenarios.credentials.vault import Draft, Vault

FILE_BYTES_MAX = 256 * 1024 * 1024
"""Longest file that a custodian takes."""
UPLOADS_MAX = 32
"""Files that may be on their way in at once."""
RETRY_MS = 500
FINAL_MS = 20_000
"""How long a caller waits for finality."""
SALT_BYTES = 32

DIGEST_DIFFERS = ErrorCode(
    "voucher.digest_differs",
    "the uploader names the digest {named}, the file that arrived has {computed} ({algorithm})",
    "upload the file again; if it differs again, the file changed after its digest was taken",
    "上传方给出的摘要为 {named},实际收到的文件摘要为 {computed}({algorithm})",
    "请重新上传;若仍不一致,说明文件在计算摘要之后发生了变化",
)
TOO_LONG = ErrorCode(
    "voucher.too_long",
    "the file is longer than the {bytes_max} bytes that a custodian takes",
    "split the document, or register an archive of it elsewhere",
    "文件超过托管上限 {bytes_max} 字节",
    "请拆分文件后再登记",
)
CROWDED = ErrorCode(
    "voucher.crowded",
    "this custodian takes {uploads_max} files at once and has no room for another",
    "upload again after {retry_after_ms} ms, or at another member",
    "该托管方同时最多接收 {uploads_max} 个文件,目前已满",
    "请在 {retry_after_ms} 毫秒后重新上传,或改向其他成员登记",
)
NOT_HOSTED = ErrorCode(
    "voucher.not_hosted",
    "the file of voucher {index} is not on this member",
    "ask the member that took it; `zizhu voucher show` names the issuer",
    "凭证 {index} 的文件不在本成员上",
    "请向保存该文件的成员获取;`zizhu voucher show` 会显示签发人",
)


@dataclass(frozen=True, slots=True)
class Registration:
    """A registered voucher: its record as of a height, and whether this call made it."""

    found: AsOf[Record]
    created: bool


class Custodian:
    """One member's voucher service. For the event loop of its node."""

    def __init__(
        self, backend: Backend, account: Account, *, folder: Path, file_bytes_max: int = FILE_BYTES_MAX
    ) -> None:
        """Keeps files and nonces in `folder`, which is its own; a file has at most `file_bytes_max` bytes."""
        self._backend = backend
        self._file_bytes_max = file_bytes_max
        self._uploads = 0
        self._account = account
        self.account_id: AccountId = account.id
        self._target = Target(backend.ledger_id, backend.suite)
        self._contract = genesis_contract_id(backend.suite, CONTRACT_NAME)
        self._vault = Vault(folder / "files")
        self._nonces = NonceAllocator(folder / "nonces.json", account=account.id, ledger=backend.ledger_id)
        self.reader = EvidenceReader(self._query)
        self._settle_used()

    # Files

    async def register(
        self, type_: str, pieces: AsyncIterator[bytes], *, named_digest: bytes | None = None
    ) -> Registration:
        """Takes a file, keeps it, and registers its digest; returns once that is final.

        Raises AskedWrongly (`voucher.type`, `voucher.digest_differs`, `voucher.too_long`, `sdk.expired`), Busy
        (`voucher.crowded`, and what the pool says),
        OperatingFault (`voucher.storage`, `sdk.not_final`).
        """
        algorithm = self.reader.types().get(type_)
        if algorithm is None:
            raise AskedWrongly(UNKNOWN_TYPE)
        digest = await self._take(algorithm, pieces, named_digest)
        found = self.reader.find(digest)
        for record in found.value:
            if record.issuer == self.account_id:
                return Registration(AsOf(record, found.height, found.time_ms), created=False)
        value = await self._act("register", type_, algorithm, digest, secrets.token_bytes(SALT_BYTES))
        made: Registered = read_registered(value)
        return Registration(self.reader.show(made.index), made.created)

    async def replace(
        self, index: int, pieces: AsyncIterator[bytes], *, named_digest: bytes | None = None
    ) -> AsOf[Record]:
        """Takes a file in the place of the present one of voucher `index`. Raises as `register`."""
        algorithm = self.reader.show(index).value.algorithm
        digest = await self._take(algorithm, pieces, named_digest)
        await self._act("replace", index, digest, secrets.token_bytes(SALT_BYTES))
        return self.reader.show(index)

    def file(self, index: int) -> Path:
        """Where the file of a voucher lies. Raises AskedWrongly (`voucher.unknown`, `voucher.not_hosted`)."""
        record = self.reader.show(index).value
        path = self._vault.find(record.algorithm, record.digest)
        if path is None:
            raise AskedWrongly(NOT_HOSTED, index=index)
        return path

    def hosts(self, record: Record) -> bool:
        """Whether the file lies on this member."""
        return self._vault.find(record.algorithm, record.digest) is not None

    async def _take(self, algorithm: str, pieces: AsyncIterator[bytes], named_digest: bytes | None) -> bytes:
        if self._uploads >= UPLOADS_MAX:
            raise Busy(CROWDED, retry_after_ms=RETRY_MS, uploads_max=UPLOADS_MAX)
        draft = self._vault.draft(algorithm)
        self._uploads += 1
        try:
            async for piece in pieces:
                if draft.length + len(piece) > self._file_bytes_max:
                    raise AskedWrongly(TOO_LONG, bytes_max=self._file_bytes_max)
                draft.write(piece)
            return await self._kept(draft, algorithm, named_digest)
        finally:
            self._uploads -= 1
            draft.drop()

    async def _kept(self, draft: Draft, algorithm: str, named_digest: bytes | None) -> bytes:
        digest = draft.digest()
        if named_digest is not None and named_digest != digest:
            raise AskedWrongly(DIGEST_DIFFERS, named=named_digest.hex(), computed=digest.hex(), algorithm=algorithm)
        # A sync of many megabytes takes a while; it must not hold up the node's votes.
        await asyncio.to_thread(draft.keep)
        return digest

    # Acts

    async def transfer(self, index: int, to: bytes) -> AsOf[Record]:
        """Gives voucher `index`, held by this member's account, to account `to` (20 bytes)."""
        await self._act("transfer", index, to)
        return self.reader.show(index)

    async def revoke(self, index: int, reason: str) -> AsOf[Record]:
        """Declares voucher `index`, issued by this member's account, void."""
        await self._act("revoke", index, reason)
        return self.reader.show(index)

    async def _act(self, method: str, *arguments: Value) -> Value:
        """What a call returned, once it is final. Raises AskedWrongly (`voucher.*`) when it failed."""
        ledger = self._backend.ledger
        height = self._backend.visible_height
        last = height + LIFETIME_BLOCKS
        used = ledger.nonce_state(self.account_id).highest
        # The allocator syncs its file: that must not hold up the node's votes.
        nonce = await asyncio.to_thread(self._take_nonce, height, used)
        call = Call(self._contract, method, arguments)
        steps = ledger.record.parameters.transaction_steps_max
        numbers = Numbers(nonce=nonce, valid_until_height=last, steps_max=steps)
        signed = sign_single(self._account, self._target, call_body(self._account, self._target, call, numbers))
        try:
            receipt = await self._final(signed.raw, signed.ids[0])
        except AskedWrongly:
            # Refused or expired: it will never stand in a block, and nobody else has it.
            await asyncio.to_thread(self._nonces.settle, signed.nonces)
            raise
        await asyncio.to_thread(self._nonces.settle, signed.nonces)
        if receipt.code != "":
            raise failure(receipt.code, method=method)
        return decode_value(receipt.result)

    def _settle_used(self) -> None:
        """Lets go of nonces that an earlier process gave out and the ledger has seen since."""
        state = self._backend.ledger.nonce_state(self.account_id)
        self._nonces.settle([one for one in self._nonces.open_nonces() if state.use_of(one) is not NonceUse.FREE])

    def _take_nonce(self, height: int, used: int) -> int:
        self._nonces.expire(height)
        return self._nonces.take(valid_until_height=height + LIFETIME_BLOCKS, highest_used=used)[0]

    async def _final(self, raw: bytes, id_: TransactionId) -> Receipt:
        """The receipt; the same bytes are handed in again while the pool is busy."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FINAL_MS / 1000
        while True:
            outcome = (await self._backend.submit((raw,)))[0]
            match outcome:
                case Accepted():
                    break
                case Rejected(Busy() as busy):
                    if loop.time() + busy.retry_after_ms / 1000 > deadline:
                        raise busy
                    await asyncio.sleep(busy.retry_after_ms / 1000)
                case Rejected(error):
                    raise error
        left_ms = max(0, int((deadline - loop.time()) * 1000))
        found = await self._backend.receipt(id_, timeout_ms=left_ms)
        if found is None:
            raise OperatingFault(NOT_FINAL, transaction=id_.hex(), patience_ms=FINAL_MS)
        if isinstance(found, Expired):
            raise AskedWrongly(EXPIRED, transaction=id_.hex())
        return found.receipt

    def _query(self, method: str, *arguments: Value) -> QueryAnswer:
        return backend_query(self._backend, self._contract)(method, *arguments)


def backend_query(backend: Backend, contract: bytes) -> Callable[..., QueryAnswer]:
    """A query of `contract` on a node's own ledger."""

    def query(method: str, *arguments: Value) -> QueryAnswer:
        ledger = backend.ledger
        invoke = Invoke(contract, method, encode_arguments(list(arguments)))
        done: CallResult = ledger.query(invoke, caller=NO_ACCOUNT)
        return QueryAnswer(done.code, done.value, ledger.head.height, ledger.head.time_ms)

    return query
