"""What the API shows of blocks, transactions and receipts: the archive's structures as replies.

Decides how a certified block is told. Nothing above the node's visible height is shown. Refuses to know requests.
"""

from collections.abc import Iterator
from typing import Literal, assert_never

from zizhu.chain.consensus.certificate import electorate
from zizhu.chain.crypto.hashing import outcome_hash
from zizhu.chain.ledger.archive import Located
from zizhu.chain.ledger.records import CommitRecord
from zizhu.chain.ledger.transactions import ID_BYTES
from zizhu.chain.model import limits
from zizhu.chain.model.block import Block, Outcome
from zizhu.chain.model.certificate import Certificate
from zizhu.chain.model.errors import SpokeWrongly
from zizhu.chain.model.ids import BlockHash, TransactionId
from zizhu.chain.model.receipt import SUCCEEDED, Event, Receipt
from zizhu.chain.model.transaction import (
    INVOKE,
    Bundle,
    Invoke,
    Single,
    TransactionBody,
    body_codec,
    deploy_codec,
    invoke_codec,
)
from zizhu.chain.node.api import replies
from zizhu.chain.node.api.json_values import encoded_to_json
from zizhu.chain.node.backend import Backend

SCANNED_MAX = 256
"""Blocks that one list of transactions looks through."""
RUNS_MAX = 1024
"""Runs of empty blocks that are remembered, so that they are looked through once."""


class Reading:
    """Reads of one node's chain. All numbers are checked by the caller; what is not there is None."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._electorate = electorate(backend.suite, backend.ledger_id, backend.ledger.record)
        record = backend.ledger.record
        self._names = dict(zip(self._electorate.members, record.members, strict=True))
        self._empty: dict[int, int] = {}
        """Height → lower height; the blocks from the first down to above the second carry no transactions."""

    # Blocks

    def block_line(self, height: int) -> replies.BlockLine | None:
        """One line of the list of blocks."""
        block, hash_ = self._block(height), self._backend.archive.block_hash(height)
        if block is None or hash_ is None:
            return None
        header = block.header
        return replies.BlockLine(
            height, hash_.hex(), header.time_ms, header.count, header.proposer.hex(), self._name(header.proposer)
        )

    def block(self, height: int, *, offset: int, limit: int) -> replies.BlockReply | None:
        """A block with `limit` of its transactions from number `offset` on."""
        block, commit = self._block(height), self._commit(height)
        hash_ = self._backend.archive.block_hash(height)
        raw = self._backend.archive.block_bytes(height)
        if block is None or commit is None or hash_ is None or raw is None:
            return None
        header = block.header
        bodies = list(_bodies(block))
        numbers = range(offset, min(offset + limit, len(bodies)))
        return replies.BlockReply(
            height=height,
            hash=hash_.hex(),
            parent=header.parent.hex(),
            parent_outcome=header.parent_outcome.hex(),
            time_ms=header.time_ms,
            epoch=header.epoch,
            count=header.count,
            bytes=len(raw),
            proposer=header.proposer.hex(),
            proposer_name=self._name(header.proposer),
            transaction_root=header.transaction_root.hex(),
            witness_root=header.witness_root.hex(),
            outcome=self._outcome(commit.outcome),
            certificate=self._certificate(commit.certificate),
            offset=offset,
            transactions=[self._line(commit.receipts[at], bodies[at], header.time_ms) for at in numbers],
        )

    def height_of(self, hash_: bytes) -> int | None:
        """The height of a visible block."""
        height = self._backend.archive.height_of(BlockHash(hash_))
        return None if height is None or height > self._backend.visible_height else height

    # Transactions

    def transactions(self, *, before: Located, limit: int) -> replies.TransactionsReply:
        """The newest transactions before place `before`, newest first; looks through SCANNED_MAX blocks."""
        found: list[replies.TransactionLine] = []
        height, steps = before.height, SCANNED_MAX
        while steps > 0:
            height, steps = self._below_empty(height, steps)
            block, commit = self._block(height), self._commit(height)
            if block is None or commit is None:
                break
            bodies = list(_bodies(block))
            last = before.number if height == before.height else len(bodies)
            for at in reversed(range(min(last, len(bodies)))):
                found.append(self._line(commit.receipts[at], bodies[at], block.header.time_ms))
                if len(found) == limit:
                    return replies.TransactionsReply(found, f"{height}.{at}")
            height, steps = height - 1, steps - 1
        return replies.TransactionsReply(found, f"{height}.{limits.BLOCK_TRANSACTIONS_MAX}" if height >= 1 else None)

    def _below_empty(self, start: int, steps: int) -> tuple[int, int]:
        """The highest height ≤ `start` whose block has transactions (0: none), or where the steps end; steps left."""
        height = start
        while steps > 0:
            block = None if height in self._empty else self._block(height)
            if height < 1 or (block is not None and block.header.count):
                break
            height, steps = self._empty.get(height, height - 1), steps - 1
        if height < start:
            if len(self._empty) >= RUNS_MAX:
                self._empty.clear()
            self._empty[start] = height
        return height, steps

    def locate(self, id_: bytes) -> Located | None:
        """Where a visible transaction stands."""
        located = self._backend.archive.locate(TransactionId(id_))
        return None if located is None or located.height > self._backend.visible_height else located

    def body(self, located: Located) -> bytes:
        """The encoded body of a transaction that `locate` has found."""
        block = self._block(located.height)
        assert block is not None, "a located transaction stands in a block"
        return next(body for number, body in enumerate(_bodies(block)) if number == located.number)

    def final(self, id_: bytes, located: Located) -> replies.TransactionReply:
        """All about a transaction that `locate` has found."""
        block, commit = self._block(located.height), self._commit(located.height)
        hash_ = self._backend.archive.block_hash(located.height)
        assert block is not None and commit is not None and hash_ is not None, "a located transaction has a block"
        return replies.TransactionReply(
            id=id_.hex(),
            state="final",
            height=located.height,
            index=located.number,
            block=hash_.hex(),
            time_ms=block.header.time_ms,
            receipt=receipt_reply(commit.receipts[located.number]),
            transaction=self._fields(self.body(located)),
        )

    def commit(self, height: int) -> tuple[Block, CommitRecord] | None:
        """A visible block and what made it final."""
        block, commit = self._block(height), self._commit(height)
        return None if block is None or commit is None else (block, commit)

    # Parts

    def _block(self, height: int) -> Block | None:
        return self._backend.archive.block(height) if self._visible(height) else None

    def _commit(self, height: int) -> CommitRecord | None:
        return self._backend.archive.commit(height) if self._visible(height) else None

    def _visible(self, height: int) -> bool:
        return 1 <= height <= self._backend.visible_height

    def _name(self, member: bytes) -> str:
        found = next((one for id_, one in self._names.items() if id_ == member), None)
        return "" if found is None else found.name

    def _line(self, receipt: Receipt, raw: bytes, time_ms: int) -> replies.TransactionLine:
        body = body_codec.decode(raw)
        invoke = _invoke(body)
        return replies.TransactionLine(
            id=receipt.transaction.hex(),
            height=receipt.height,
            index=receipt.index,
            time_ms=time_ms,
            status=_status(receipt),
            code=receipt.code,
            steps=receipt.steps,
            kind="deploy" if invoke is None else "invoke",
            sender=body.sender.hex(),
            contract=None if invoke is None else invoke.contract.hex(),
            contract_name=None if invoke is None else self._contract_name(invoke.contract),
            method=None if invoke is None else invoke.method,
        )

    def _fields(self, raw: bytes) -> replies.TransactionFields:
        body = body_codec.decode(raw)
        invoke = _invoke(body)
        deploy = None if invoke is not None else deploy_codec.decode(body.payload)
        arguments = invoke.arguments if invoke is not None else b"" if deploy is None else deploy.arguments
        return replies.TransactionFields(
            kind="deploy" if invoke is None else "invoke",
            sender=body.sender.hex(),
            nonce=body.nonce,
            valid_until_height=body.valid_until_height,
            steps_max=body.steps_max,
            bytes=len(raw),
            body=raw.hex(),
            arguments=arguments.hex(),
            arguments_json=encoded_to_json(arguments),
            contract=None if invoke is None else invoke.contract.hex(),
            contract_name=None if invoke is None else self._contract_name(invoke.contract),
            method=None if invoke is None else invoke.method,
            name=None if deploy is None else deploy.name,
            engine=None if deploy is None else deploy.engine,
            source_bytes=None if deploy is None else len(deploy.source),
        )

    def _contract_name(self, contract: bytes) -> str | None:
        record = self._backend.ledger.contract(contract)
        return None if record is None else record.name

    def _outcome(self, outcome: Outcome) -> replies.OutcomeReply:
        return replies.OutcomeReply(
            hash=outcome_hash(self._backend.suite, outcome).hex(),
            root_height=outcome.root_height,
            root=outcome.root.hex(),
            running=outcome.running.hex(),
            receipts_root=outcome.receipts_root.hex(),
            events_root=outcome.events_root.hex(),
        )

    def _certificate(self, certificate: Certificate) -> replies.CertificateReply:
        signers = []
        for id_, member in self._names.items():
            if any(signed.member == id_ for signed in certificate.signatures):
                signers.append(replies.SignerReply(id_.hex(), member.name, member.organisation))
        voters = self._electorate
        return replies.CertificateReply(certificate.epoch, certificate.view, voters.needed, voters.size, signers)


def receipt_reply(receipt: Receipt) -> replies.ReceiptReply:
    """A receipt as told."""
    return replies.ReceiptReply(
        transaction=receipt.transaction.hex(),
        height=receipt.height,
        index=receipt.index,
        status=_status(receipt),
        code=receipt.code,
        steps=receipt.steps,
        result=receipt.result.hex(),
        result_json=encoded_to_json(receipt.result),
        events=[_event(event) for event in receipt.events],
    )


def _event(event: Event) -> replies.EventReply:
    return replies.EventReply(event.contract.hex(), event.name, event.data.hex(), encoded_to_json(event.data))


def _status(receipt: Receipt) -> Literal["succeeded", "failed"]:
    return "succeeded" if receipt.status == SUCCEEDED else "failed"


def _invoke(body: TransactionBody) -> Invoke | None:
    if body.kind != INVOKE:
        return None
    try:
        return invoke_codec.decode(body.payload)
    except SpokeWrongly as error:
        raise AssertionError("a certified transaction has a payload of its kind") from error


def _bodies(block: Block) -> Iterator[bytes]:
    """The bodies of a block's transactions, in order: leaves of bundles that are ids do not stand in it."""
    for item in block.items:
        match item:
            case Single():
                yield item.body
            case Bundle():
                yield from (leaf for leaf in item.leaves if len(leaf) != ID_BYTES)
            case _:
                assert_never(item)
