"""The voucher API of a member, served by its node through the entry point `zizhu.http`.

Decides addresses and which body each takes: a file comes as it is (application/octet-stream), with its type and the
uploader's digest in headers, so that it is never held in memory. Refuses to know how vouchers are kept (`service`).
"""

import dataclasses
from collections.abc import AsyncIterator
from urllib.parse import unquote

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, RedirectResponse, Response

from zizhu.chain.crypto.hashing import genesis_contract_id
from zizhu.chain.model.errors import AskedWrongly
from zizhu.chain.node.api.bodies import (
    BYTES,
    GONE,
    MEDIA_TYPE,
    hex_bytes,
    json_reply,
    known_parameters,
    media_type,
    number,
    query_number,
    read_json,
)
from zizhu.chain.node.api.faults import language_of
from zizhu.chain.node.api.site import PREFIX, Documents, Endpoint, Parameter, Site
from zizhu.chain.node.api.waiting import until_visible
from zizhu.components.evidence.digests import DIGEST_BYTES, Digester
from zizhu.components.evidence.reading import AsOf
from zizhu.components.evidence.record import Record
from zizhu.framework.sdk.keys import Account
from zizhu.scenarios.credentials.contract import CONTRACT_NAME, DEFAULT_TYPE, kind_name
from zizhu.scenarios.credentials.replies import (
    AnswerReply,
    HistoryReply,
    RevokeRequest,
    ServiceReply,
    TransferRequest,
    TypeReply,
    VoucherAsOf,
    VouchersReply,
    act_reply,
    answer_reply,
    voucher_reply,
)
from zizhu.scenarios.credentials.service import FILE_BYTES_MAX, Custodian
from zizhu.scenarios.credentials.verification import judge_file

FOLDER = "vouchers"
TYPE_HEADER = "x-zizhu-type"
DIGEST_HEADER = "x-zizhu-digest"
PAGE_MAX = 20
HISTORY_PAGE_MAX = 50
INDEX_MAX = (1 << 53) - 1
JSON_BYTES_MAX = 4096
PROOF_WAIT_MS = 10_000

_STATUSES = {
    "voucher.unknown": 404,
    "voucher.not_hosted": 404,
    "voucher.too_long": 413,
    "voucher.revoked": 409,
    "voucher.not_holder": 403,
    "voucher.not_issuer": 403,
    "voucher.same_holder": 409,
    "voucher.digest_taken": 409,
    "voucher.replacements": 409,
}

_transfer_decoder = msgspec.json.Decoder(TransferRequest)
_revoke_decoder = msgspec.json.Decoder(RevokeRequest)


class VoucherRoutes:
    """Handlers of the addresses of vouchers."""

    def __init__(self, site: Site, custodian: Custodian) -> None:
        self._site = site
        self._custodian = custodian
        self._contract = genesis_contract_id(site.backend.suite, CONTRACT_NAME)

    async def register(self, request: Request) -> Response:
        """Takes a file and registers it."""
        known_parameters(request)
        type_ = unquote(request.headers.get(TYPE_HEADER, DEFAULT_TYPE))
        done = await self._custodian.register(type_, _pieces(request), named_digest=_named_digest(request))
        reply = await self._as_of(done.found)
        created = msgspec.structs.replace(reply, created=done.created)
        return json_reply(created, status=201 if done.created else 200)

    async def replace(self, request: Request) -> Response:
        """Takes a file in the place of the present one."""
        known_parameters(request)
        named = _named_digest(request)
        return json_reply(
            await self._as_of(await self._custodian.replace(_index(request), _pieces(request), named_digest=named))
        )

    async def transfer(self, request: Request) -> Response:
        """Gives a voucher to another account."""
        known_parameters(request)
        wanted = await read_json(request, _transfer_decoder)
        return json_reply(await self._as_of(await self._custodian.transfer(_index(request), bytes.fromhex(wanted.to))))

    async def revoke(self, request: Request) -> Response:
        """Declares a voucher void."""
        known_parameters(request)
        wanted = await read_json(request, _revoke_decoder)
        return json_reply(await self._as_of(await self._custodian.revoke(_index(request), wanted.reason)))

    async def show(self, request: Request) -> Response:
        """One voucher."""
        known_parameters(request)
        return json_reply(await self._as_of(self._custodian.reader.show(_index(request))))

    async def page(self, request: Request) -> Response:
        """Vouchers in the order of their indexes."""
        known_parameters(request, "after", "limit")
        after = query_number(request, "after", default=0, most=INDEX_MAX)
        limit = query_number(request, "limit", default=PAGE_MAX, least=1, most=PAGE_MAX)
        found = self._custodian.reader.page(after=after, limit=limit)
        await until_visible(self._site.backend, found.height)
        vouchers = [voucher_reply(record, self._contract) for record in found.value]
        next_ = vouchers[-1].index if len(vouchers) == limit else None
        return json_reply(VouchersReply(vouchers, next_, found.height, found.time_ms))

    async def history(self, request: Request) -> Response:
        """What happened to a voucher."""
        known_parameters(request, "after", "limit")
        index = _index(request)
        after = query_number(request, "after", default=0, most=(1 << 32) - 1)
        limit = query_number(request, "limit", default=HISTORY_PAGE_MAX, least=1, most=HISTORY_PAGE_MAX)
        found = self._custodian.reader.history(index, after=after, limit=limit)
        await until_visible(self._site.backend, found.height)
        acts = [act_reply(act) for act in found.value]
        next_ = acts[-1].number if len(acts) == limit else None
        return json_reply(HistoryReply(index, acts, next_, found.height, found.time_ms))

    async def file(self, request: Request) -> Response:
        """The file as it lies here; whoever takes it compares it with the ledger."""
        known_parameters(request)
        index = _index(request)
        # A page of this origin must never run what somebody else uploaded.
        headers = {"content-disposition": f'attachment; filename="voucher-{index}"'}
        return FileResponse(self._custodian.file(index), media_type=BYTES, headers=headers)

    async def proof(self, request: Request) -> Response:
        """Where the proof of a voucher, as it stands now, is handed out."""
        known_parameters(request)
        found = self._custodian.reader.show(_index(request))
        key = voucher_reply(found.value, self._contract).proof_key
        return RedirectResponse(f"{PREFIX}/proofs/state/{key}?wait_ms={PROOF_WAIT_MS}", 307)

    async def verify(self, request: Request) -> Response:
        """Whether a file is a voucher, by this member's own ledger."""
        known_parameters(request)
        digester = Digester()
        async for piece in _pieces(request):
            digester.update(piece)
        digests = digester.digests()
        records: list[Record] = []
        for algorithm, digest in digests.items():
            found = self._custodian.reader.find(digest)
            records += [record for record in found.value if record.algorithm == algorithm]
        head = self._site.backend.ledger.head
        await until_visible(self._site.backend, head.height)
        status = self._site.backend.status()
        answer = dataclasses.replace(
            judge_file(digests, records),
            height=head.height,
            time_ms=head.time_ms,
            ledger=status.ledger,
            asked=(status.name,),
        )
        return json_reply(answer_reply(answer, self._contract, language_of(request.headers)))

    async def service(self, request: Request) -> Response:
        """As whom this member's service signs, and what it takes."""
        known_parameters(request)
        types = [
            TypeReply(name, algorithm, kind_name(name, "en"), kind_name(name, "zh"))
            for name, algorithm in self._custodian.reader.types().items()
        ]
        account = self._custodian.account_id.hex()
        member = self._site.backend.status().name
        return json_reply(ServiceReply(member, account, self._contract.hex(), FILE_BYTES_MAX, types))

    async def _as_of(self, found: AsOf[Record]) -> VoucherAsOf:
        await until_visible(self._site.backend, found.height)
        voucher = voucher_reply(found.value, self._contract)
        return VoucherAsOf(voucher, found.height, found.time_ms, self._custodian.hosts(found.value))


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes."""
    found = media_type(request)
    if found not in (BYTES, ""):
        raise AskedWrongly(MEDIA_TYPE, wanted=BYTES, found=found)
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        raise AskedWrongly(GONE) from None


def _named_digest(request: Request) -> bytes | None:
    text = request.headers.get(DIGEST_HEADER)
    return None if text is None else hex_bytes(text, name=DIGEST_HEADER, sizes=(DIGEST_BYTES,))


def _index(request: Request) -> int:
    return number(request.path_params["index"], name="index", least=1, most=INDEX_MAX)


def routes(site: Site) -> list[Endpoint]:
    """What the entry point names: the voucher API of a member that has an issuer account and the voucher contract."""
    if site.issuer is None or site.backend.ledger.contract_named(CONTRACT_NAME) is None:
        return []
    key = site.open_account(site.issuer.name)
    custodian = Custodian(site.backend, Account(key.suite, key.secret), folder=site.folder / FOLDER)
    handlers = VoucherRoutes(site, custodian)
    return [*_reads(handlers), *_acts(handlers)]


_INDEX = (Parameter("index", "path", "Index of the voucher", "integer"),)
_PAGE = (
    Parameter("after", "query", "Go on behind this", "integer"),
    Parameter("limit", "query", "At most so many", "integer"),
)
_UPLOAD = (Parameter(DIGEST_HEADER, "header", "The uploader's digest by the type's algorithm, 64 hex digits"),)
_REGISTER = (
    Parameter(TYPE_HEADER, "header", f"Type of the voucher, percent-encoded UTF-8, by default {DEFAULT_TYPE}"),
    *_UPLOAD,
)
_BASE = f"{PREFIX}/vouchers"
_ONE = f"{_BASE}/{{index}}"


def _documents(
    summary: str, parameters: tuple[Parameter, ...] = (), *errors: int, status: int = 200, file: bool = False
) -> Documents:
    return Documents(
        summary=summary,
        parameters=parameters,
        request_media=(BYTES,) if file else ("application/json",),
        status=status,
        errors=(400, *errors),
        statuses=_STATUSES,
    )


def _reads(handlers: VoucherRoutes) -> list[Endpoint]:
    gives_file = dataclasses.replace(
        _documents("The file of a voucher, if it lies on this member", _INDEX, 404), reply_media=(BYTES,)
    )
    proof = dataclasses.replace(
        _documents("Proof of a voucher, for offline verification (leads to the proof of its state)", _INDEX, 404),
        status=307,
        reply_media=(BYTES,),
    )
    return [
        Endpoint("GET", _BASE, handlers.page, _documents("Vouchers", _PAGE), reply=VouchersReply),
        Endpoint("GET", f"{_BASE}/service", handlers.service, _documents("This service"), reply=ServiceReply),
        Endpoint("GET", _ONE, handlers.show, _documents("A voucher", _INDEX, 404), reply=VoucherAsOf),
        Endpoint(
            "GET",
            f"{_ONE}/history",
            handlers.history,
            _documents("What happened to a voucher", (*_INDEX, *_PAGE), 404),
            reply=HistoryReply,
        ),
        Endpoint("GET", f"{_ONE}/file", handlers.file, gives_file),
        Endpoint("GET", f"{_ONE}/proof", handlers.proof, proof),
    ]


def _acts(handlers: VoucherRoutes) -> list[Endpoint]:
    registers = _documents(
        "Register a file; 200 when it is one of this issuer's vouchers", _REGISTER, 413, status=201, file=True
    )
    replaces = _documents(
        "Put another file in the place of a voucher's", (*_INDEX, *_UPLOAD), 403, 404, 409, 413, file=True
    )
    transfers = _documents("Transfer a voucher to another account", _INDEX, 403, 404, 409)
    revokes = _documents("Revoke a voucher", _INDEX, 403, 404, 409)
    verifies = _documents("Whether a file is a voucher, by this member's ledger", (), 413, file=True)
    return [
        Endpoint("POST", _BASE, handlers.register, registers, None, VoucherAsOf, FILE_BYTES_MAX),
        Endpoint("POST", f"{_BASE}/verify", handlers.verify, verifies, None, AnswerReply, FILE_BYTES_MAX),
        Endpoint("POST", f"{_ONE}/replace", handlers.replace, replaces, None, VoucherAsOf, FILE_BYTES_MAX),
        Endpoint(
            "POST", f"{_ONE}/transfer", handlers.transfer, transfers, TransferRequest, VoucherAsOf, JSON_BYTES_MAX
        ),
        Endpoint("POST", f"{_ONE}/revoke", handlers.revoke, revokes, RevokeRequest, VoucherAsOf, JSON_BYTES_MAX),
    ]
