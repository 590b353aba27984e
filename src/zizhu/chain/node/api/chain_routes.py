"""Endpoints about the chain: submissions, transactions, receipts, blocks, queries, accounts, contracts.

Decides these addresses and their limits. Refuses to know how a transaction becomes final: the backend says.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from zizhu.chain.crypto.accounts import ACCOUNT_ID_BYTES
from zizhu.chain.ledger.archive import Located
from zizhu.chain.ledger.keys import NO_ACCOUNT
from zizhu.chain.model import limits
from zizhu.chain.model.errors import AskedWrongly, Busy, ErrorCode
from zizhu.chain.model.ids import TransactionId
from zizhu.chain.model.transaction import Invoke
from zizhu.chain.model.value import encode_arguments, encode_value
from zizhu.chain.node.api import chain_documents as documents
from zizhu.chain.node.api import replies
from zizhu.chain.node.api.bodies import (
    BODY,
    BYTES,
    JSON,
    MEDIA_TYPE,
    decode_json,
    hex_bytes,
    json_reply,
    known_parameters,
    media_type,
    number,
    parameter,
    query_number,
    read_bytes,
    read_json,
)
from zizhu.chain.node.api.faults import error_body, language_of
from zizhu.chain.node.api.json_values import json_to_value, value_to_json
from zizhu.chain.node.api.reading import Reading, receipt_reply
from zizhu.chain.node.api.site import PREFIX, Endpoint, Site
from zizhu.chain.node.api.waiting import WAIT_MS_MAX, Accepted, until_gone, until_visible
from zizhu.chain.node.events import Accepted as WasAccepted
from zizhu.chain.node.events import Expired, Final, Rejected

LINES_MAX = 100
"""Lines of a list, and transactions of a block, in one reply."""
LINES = 20
JSON_BYTES_MAX = 2 * replies.SUBMISSIONS_BYTES_MAX + 1024 * 1024
"""Length of submissions as hex in JSON."""
QUERY_STEPS_MAX = 200_000
"""Steps of one query: it holds up the node while it runs."""

UNKNOWN = ErrorCode(
    "http.unknown",
    "this member has no {what} {id}",
    "check it; if it is new, wait for it or ask another member",
    "本成员没有{what_zh} {id}",
    "请检查;如为新内容,请稍候或询问其他成员",
)


def unknown(what: str, what_zh: str, id_: str) -> AskedWrongly:
    """The error for what is not there (404)."""
    return AskedWrongly(UNKNOWN, what=what, what_zh=what_zh, id=id_[:80])


class ChainRoutes:
    """Handlers of the addresses about the chain."""

    def __init__(self, site: Site) -> None:
        self._backend = site.backend
        self._reading = Reading(site.backend)
        self._accepted = Accepted()
        self._submissions = msgspec.msgpack.Decoder(list[bytes])
        self._submit_json = msgspec.json.Decoder(replies.SubmitRequest)
        self._query_json = msgspec.json.Decoder(replies.QueryRequest)

    # Transactions

    async def submit(self, request: Request) -> Response:
        """Hands in submissions; 202 with one outcome each. Accepted is not final."""
        known_parameters(request)
        raws = await self._raws(request)
        outcomes = []
        retry_after_ms = 0
        language = language_of(request.headers)
        for outcome in await self._backend.submit(raws):
            match outcome:
                case WasAccepted(transactions):
                    for id_ in transactions:
                        self._accepted.add(id_)
                    outcomes.append(replies.SubmitOutcome(transactions=[id_.hex() for id_ in transactions]))
                case Rejected(error):
                    if isinstance(error, Busy):
                        retry_after_ms = max(retry_after_ms, error.retry_after_ms)
                    outcomes.append(replies.SubmitOutcome(error=error_body(error, language)))
        headers = {"retry-after": str(-(-retry_after_ms // 1000))} if retry_after_ms else None
        return json_reply(replies.SubmitReply(outcomes), status=202, headers=headers)

    async def _raws(self, request: Request) -> tuple[bytes, ...]:
        found = media_type(request)
        data = b""
        if found in (BYTES, JSON):
            data = await read_bytes(request)
        if found == JSON:
            given = decode_json(data, self._submit_json).submissions
            longest = replies.SUBMISSIONS_BYTES_MAX
            return tuple(hex_bytes(one, name="submissions", bytes_max=longest) for one in given)
        if found != BYTES:
            raise AskedWrongly(MEDIA_TYPE, wanted=f"{BYTES} or {JSON}", found=found[:80])
        try:
            raws = self._submissions.decode(data)
        except (msgspec.MsgspecError, RecursionError, ValueError, OverflowError) as error:
            raise AskedWrongly(BODY, reason=f"a MessagePack array of byte strings is wanted: {error}") from None
        if not 1 <= len(raws) <= replies.SUBMISSIONS_MAX:
            most = replies.SUBMISSIONS_MAX
            raise AskedWrongly(BODY, reason=f"{len(raws)} submissions, from 1 to {most} are taken at once")
        return tuple(raws)

    async def transactions(self, request: Request) -> Response:
        """The newest transactions, newest first."""
        known_parameters(request, "limit", "before")
        limit = query_number(request, "limit", default=LINES, least=1, most=LINES_MAX)
        visible = self._backend.visible_height
        before = Located(visible, limits.BLOCK_TRANSACTIONS_MAX)
        given = request.query_params.getlist("before")
        if given:
            height, dot, place = given[0].partition(".")
            if len(given) > 1 or not dot:
                raise parameter("before", given[-1], "not the `next` of another page")
            before = Located(number(height, name="before"), number(place, name="before"))
        if before.height > visible:
            before = Located(visible, limits.BLOCK_TRANSACTIONS_MAX)
        return json_reply(self._reading.transactions(before=before, limit=limit))

    async def transaction(self, request: Request) -> Response:
        """Where a transaction stands, waiting for it if that is asked."""
        known_parameters(request, "wait_ms")
        text = request.path_params["id"]
        id_ = hex_bytes(text, name="id", sizes=(32,))
        wait_ms = query_number(request, "wait_ms", default=0, most=WAIT_MS_MAX)
        located = self._reading.locate(id_)
        if located is None:
            waiting = self._backend.receipt(TransactionId(id_), timeout_ms=wait_ms)
            reply = await (until_gone(request, waiting) if wait_ms else waiting)
            match reply:
                case Expired(_, height):
                    self._accepted.settle(id_)
                    return json_reply(replies.TransactionReply(id_.hex(), "expired", height=height))
                case Final(receipt):
                    await until_visible(self._backend, receipt.height)
                    located = self._reading.locate(id_)
                    assert located is not None, "a transaction of a visible block is in the archive"
                case None:
                    seen = self._accepted.has(id_)
                    return json_reply(replies.TransactionReply(id_.hex(), "waiting" if seen else "unknown"))
        self._accepted.settle(id_)
        return json_reply(self._reading.final(id_, located))

    async def receipt(self, request: Request) -> Response:
        """The receipt of a final transaction."""
        known_parameters(request)
        text = request.path_params["id"]
        located = self._reading.locate(hex_bytes(text, name="id", sizes=(32,)))
        found = None if located is None else self._reading.commit(located.height)
        if located is None or found is None:
            raise unknown("final transaction", "已确认的交易", text)
        return json_reply(receipt_reply(found[1].receipts[located.number]))

    # Blocks

    async def blocks(self, request: Request) -> Response:
        """The newest blocks, newest first."""
        known_parameters(request, "from", "limit")
        limit = query_number(request, "limit", default=LINES, least=1, most=LINES_MAX)
        visible = self._backend.visible_height
        height = min(query_number(request, "from", default=visible), visible)
        lines: list[replies.BlockLine] = []
        while height >= 1 and len(lines) < limit:
            line = self._reading.block_line(height)
            assert line is not None, "a visible block is in the archive"
            lines.append(line)
            height -= 1
        return json_reply(replies.BlocksReply(visible, lines, height if height >= 1 else None))

    async def block(self, request: Request) -> Response:
        """A block by height or hash."""
        known_parameters(request, "offset", "limit")
        offset = query_number(request, "offset", default=0, most=limits.BLOCK_TRANSACTIONS_MAX)
        limit = query_number(request, "limit", default=LINES_MAX, least=1, most=LINES_MAX)
        text = request.path_params["block"]
        if len(text) == 64:
            height = self._reading.height_of(hex_bytes(text, name="block", sizes=(32,)))
        else:
            height = number(text, name="block")
        reply = None if height is None else self._reading.block(height, offset=offset, limit=limit)
        if reply is None:
            raise unknown("block", "区块", text)
        return json_reply(reply)

    # State

    async def query(self, request: Request) -> Response:
        """Calls a read-only method on the committed state."""
        known_parameters(request)
        asked = await read_json(request, self._query_json)
        if isinstance(asked.arguments, str):
            arguments = hex_bytes(asked.arguments, name="arguments", bytes_max=replies.QUERY_BYTES_MAX)
        else:
            arguments = encode_arguments([json_to_value(item) for item in asked.arguments])
        caller = hex_bytes(asked.caller, name="caller", sizes=(20,)) if asked.caller else NO_ACCOUNT
        invoke = Invoke(self._contract(asked.contract), asked.method, arguments)
        head = self._backend.ledger.head
        result = self._backend.ledger.query(invoke, caller=caller, steps_max=QUERY_STEPS_MAX)
        await until_visible(self._backend, head.height)
        value = encode_value(result.value)
        reply = replies.QueryReply(
            code=result.code,
            text=result.text,
            value="" if result.code else value.hex(),
            value_json=None if result.code else value_to_json(result.value),
            steps=result.steps,
            height=head.height,
            time_ms=head.time_ms,
        )
        return json_reply(reply)

    async def account(self, request: Request) -> Response:
        """The nonces of an account."""
        known_parameters(request)
        account = hex_bytes(request.path_params["id"], name="id", sizes=(ACCOUNT_ID_BYTES,))
        height = self._backend.ledger.head.height
        highest = self._backend.ledger.nonce_state(account).highest
        await until_visible(self._backend, height)
        return json_reply(replies.AccountReply(account.hex(), highest, highest + 1, height))

    async def contract(self, request: Request) -> Response:
        """A contract by id or name."""
        known_parameters(request)
        text = request.path_params["contract"]
        contract = self._contract(text)
        height = self._backend.ledger.head.height
        record = self._backend.ledger.contract(contract)
        if record is None:
            raise unknown("contract", "合约", text)
        await until_visible(self._backend, height)
        creator = None if record.creator == NO_ACCOUNT else record.creator.hex()
        reply = replies.ContractReply(
            contract=contract.hex(),
            name=record.name,
            engine=record.engine,
            source=record.source.hex(),
            creator=creator,
            created=record.height,
            height=height,
        )
        return json_reply(reply)

    def _contract(self, text: str) -> bytes:
        """The id of the contract that `text` names: by its name first, so that no name hides behind an id."""
        if len(text.encode()) <= limits.NAME_BYTES_MAX:
            named = self._backend.ledger.contract_named(text)
            if named is not None:
                return named
        if len(text) == 40:
            return hex_bytes(text, name="contract", sizes=(20,))
        raise unknown("contract", "合约", text)


def endpoints(site: Site) -> list[Endpoint]:
    """The addresses about the chain."""
    routes = ChainRoutes(site)
    return [
        Endpoint(
            "POST",
            f"{PREFIX}/transactions",
            routes.submit,
            documents.SUBMIT,
            request=replies.SubmitRequest,
            reply=replies.SubmitReply,
            body_bytes_max=JSON_BYTES_MAX,
        ),
        Endpoint(
            "GET",
            f"{PREFIX}/transactions",
            routes.transactions,
            documents.TRANSACTIONS,
            reply=replies.TransactionsReply,
        ),
        Endpoint(
            "GET",
            f"{PREFIX}/transactions/{{id}}",
            routes.transaction,
            documents.TRANSACTION,
            reply=replies.TransactionReply,
        ),
        Endpoint("GET", f"{PREFIX}/receipts/{{id}}", routes.receipt, documents.RECEIPT, reply=replies.ReceiptReply),
        Endpoint("GET", f"{PREFIX}/blocks", routes.blocks, documents.BLOCKS, reply=replies.BlocksReply),
        Endpoint("GET", f"{PREFIX}/blocks/{{block}}", routes.block, documents.BLOCK, reply=replies.BlockReply),
        Endpoint(
            "POST",
            f"{PREFIX}/query",
            routes.query,
            documents.QUERY,
            request=replies.QueryRequest,
            reply=replies.QueryReply,
            body_bytes_max=replies.QUERY_BYTES_MAX,
        ),
        Endpoint("GET", f"{PREFIX}/accounts/{{id}}", routes.account, documents.ACCOUNT, reply=replies.AccountReply),
        Endpoint(
            "GET",
            f"{PREFIX}/contracts/{{contract}}",
            routes.contract,
            documents.CONTRACT,
            reply=replies.ContractReply,
        ),
    ]
