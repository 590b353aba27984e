"""Endpoints that hand out proofs: files that anyone checks against the ledger id, without a network.

Decides of which block an entry is proved. A transaction or receipt is proved by its own block; a state entry by the
newest root height, and only as long as the entry has not changed since. Refuses to know how a proof is verified.
"""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from zizhu.chain.crosschain.proofs import build_ledger_proof
from zizhu.chain.ledger.archive import Located
from zizhu.chain.ledger.proofs import Entry, receipt_entry, state_entry, transaction_entry
from zizhu.chain.model import limits
from zizhu.chain.model.errors import Busy, ErrorCode
from zizhu.chain.model.ids import TransactionId
from zizhu.chain.node.api.bodies import BYTES, bytes_reply, hex_bytes, known_parameters, query_number
from zizhu.chain.node.api.chain_routes import unknown
from zizhu.chain.node.api.reading import Reading
from zizhu.chain.node.api.site import PREFIX, Documents, Endpoint, Parameter, Site
from zizhu.chain.node.api.waiting import WAIT_MS_MAX, until_gone

RETRY_MS = 1_000

NOT_YET = ErrorCode(
    "proof.not_yet",
    "the newest proved state is of height {root_height}, and the entry has changed since or is wanted of height "
    "{height} or later",
    "ask again after {retry_after_ms} ms, or with wait_ms",
    "最新可证明的状态属于高度 {root_height},该条目此后已改变,或所需高度为 {height} 及以后",
    "请在 {retry_after_ms} 毫秒后重试,或使用 wait_ms 参数",
)


class ProofRoutes:
    """Handlers of the addresses of proofs."""

    def __init__(self, site: Site) -> None:
        self._backend = site.backend
        self._reading = Reading(site.backend)

    async def transaction(self, request: Request) -> Response:
        """That a transaction stands in a block; not that it succeeded."""
        located = self._located(request)
        receipts = self._reading.commit(located.height)
        assert receipts is not None, "a located transaction stands in a block"
        ids = [TransactionId(receipt.transaction) for receipt in receipts[1].receipts]
        body = self._reading.body(located)
        entry = transaction_entry(self._backend.suite, ids=ids, index=located.number, body=body)
        return self._proof(located.height, entry, f"transaction-{ids[located.number].hex()[:16]}.zproof")

    async def receipt(self, request: Request) -> Response:
        """What a transaction did."""
        located = self._located(request)
        found = self._reading.commit(located.height)
        assert found is not None, "a located transaction stands in a block"
        entry = receipt_entry(self._backend.suite, found[1].receipts, located.number)
        return self._proof(located.height, entry, f"receipt-{entry.receipt.transaction.hex()[:16]}.zproof")

    async def state(self, request: Request) -> Response:
        """What the state holds under a key, or that it holds nothing."""
        known_parameters(request, "height", "wait_ms")
        key = hex_bytes(request.path_params["key"], name="key", bytes_max=limits.STATE_KEY_BYTES_MAX)
        least = query_number(request, "height", default=0)
        wait_ms = query_number(request, "wait_ms", default=0, most=WAIT_MS_MAX)
        entry = self._state_entry(key, least)
        if entry is None and wait_ms:
            entry = await until_gone(request, self._state_entry_soon(key, least, wait_ms))
        if entry is None:
            root_height = self._backend.ledger.head.outcome.root_height
            raise Busy(NOT_YET, retry_after_ms=RETRY_MS, root_height=root_height, height=least)
        return self._proof(entry[0], entry[1], "state.zproof")

    async def _state_entry_soon(self, key: bytes, least: int, wait_ms: int) -> tuple[int, Entry] | None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + wait_ms / 1000
        while (left_ms := int((ends - loop.time()) * 1000)) > 0:
            await self._backend.published(self._backend.visible_height, timeout_ms=left_ms)
            found = self._state_entry(key, least)
            if found is not None:
                return found
        return None

    def _state_entry(self, key: bytes, least: int) -> tuple[int, Entry] | None:
        """The entry and its height, if the newest root is visible and what it says of `key` is what stands there."""
        ledger = self._backend.ledger
        height = ledger.head.outcome.root_height
        if not max(1, least) <= height <= self._backend.visible_height:
            return None
        tree, value = ledger.state_tree(), ledger.state.get(key)
        wanted = None if value is None else self._backend.suite.hash(b"state-value", value)
        if tree.value_hash(key) != wanted:
            return None
        return height, state_entry(tree, key=key, value=value)

    def _located(self, request: Request) -> Located:
        known_parameters(request)
        text = request.path_params["id"]
        located = self._reading.locate(hex_bytes(text, name="id", sizes=(32,)))
        if located is None:
            raise unknown("final transaction", "已确认的交易", text)
        return located

    def _proof(self, height: int, entry: Entry, file_name: str) -> Response:
        found = self._reading.commit(height)
        assert found is not None, "a proved height is visible"
        block, commit = found
        data = build_ledger_proof(
            self._backend.ledger.genesis,
            header=block.header,
            outcome=commit.outcome,
            certificate=commit.certificate,
            entry=entry,
        )
        return bytes_reply(data, file_name=file_name)


def endpoints(site: Site) -> list[Endpoint]:
    """The addresses of proofs."""
    routes = ProofRoutes(site)
    by_id = (Parameter("id", "path", "Transaction id, 64 hex digits"),)
    statuses = {"http.unknown": 404, "proof.not_yet": 409}

    def documents(summary: str, parameters: tuple[Parameter, ...], *errors: int) -> Documents:
        return Documents(
            summary=summary, parameters=parameters, reply_media=(BYTES,), errors=(400, *errors), statuses=statuses
        )

    of_state = (
        Parameter("key", "path", "State key as hex"),
        Parameter("height", "query", "The state of this height or later", "integer"),
        Parameter("wait_ms", "query", "Wait so long for such a state, at most 30000", "integer"),
    )
    summary = "Proof of what the state holds under a key, as of the newest root height"
    return [
        Endpoint("GET", f"{PREFIX}/proofs/state/{{key}}", routes.state, documents(summary, of_state, 409)),
        Endpoint(
            "GET",
            f"{PREFIX}/proofs/transactions/{{id}}",
            routes.transaction,
            documents("Proof that a transaction stands in a block", by_id, 404),
        ),
        Endpoint(
            "GET",
            f"{PREFIX}/proofs/receipts/{{id}}",
            routes.receipt,
            documents("Proof of what a transaction did", by_id, 404),
        ),
    ]
