"""A person's side of vouchers: what one can ask of the members' services and ledgers, over their API.

Decides which member is asked for what: a custodian for its files, the member whose account holds or issued a voucher
for acts, f + 1 members for answers that count. Refuses to know terminals and pages.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import msgspec

from zizhu.chain.model.errors import AskedWrongly, Busy, ErrorCode, OperatingFault
from zizhu.chain.model.value import Value
from zizhu.components.evidence.digests import Digester, digest_stream
from zizhu.components.evidence.package import UNKNOWN_TYPE
from zizhu.components.evidence.reading import AsOf, EvidenceReader
from zizhu.components.evidence.record import Record, record_key
from zizhu.framework.sdk.client import API, Clock, LedgerClient, MemberClient, QueryAnswer
from zizhu.framework.sdk.http import UNREACHABLE, Member, Request, Upload
from zizhu.scenarios.credentials.answers import Answer
from zizhu.scenarios.credentials.contract import CONTRACT_NAME
from zizhu.scenarios.credentials.replies import (
    RevokeRequest,
    ServiceReply,
    TransferRequest,
    VoucherAsOf,
    voucher_reply,
)
from zizhu.scenarios.credentials.verification import Source, judge_file, needed_of, verify_digests, verify_hosted

FILE_TIMEOUT_MS = 120_000
SERVICE_TIMEOUT_MS = 3_000
"""How long a member may take to say whether it has a voucher service."""
PROOF_WAIT_MS = 5_000
PROOF_ROUNDS = 12
UPLOAD_ROUNDS = 5
UPLOAD_PAUSE_MS = 300

NO_SIGNER = ErrorCode(
    "voucher.no_signer",
    "no member of this network signs as account {account}, which alone may do this",
    "whoever has the key of that account does it; `zizhu voucher show` names issuer and holder",
    "本网络没有成员以账户 {account} 签名,而只有该账户可以办理",
    "请由持有该账户密钥的一方办理;`zizhu voucher show` 会显示签发人与持有人",
)
SIGNER_DOWN = ErrorCode(
    "voucher.signer_down",
    "no member that answers signs as account {account}, which alone can do this, and some do not answer",
    "start the members that are down: `zizhu status` shows them, `zizhu node start NAME` starts one",
    "没有应答的成员以账户 {account} 签名,而只有该账户可以办理;另有成员未应答",
    "请启动未运行的成员:`zizhu status` 可查看,`zizhu node start NAME` 可启动",
)
NO_SUCH_MEMBER = ErrorCode(
    "voucher.no_such_member",
    "no member is called {name}, or it does not answer; there are: {names}",
    "name one of these, or start it",
    "没有名为 {name} 的成员,或其没有应答;现有:{names}",
    "请使用其中之一,或先启动它",
)
UNREGISTERED = ErrorCode(
    "voucher.unregistered",
    "no voucher has the digest of {path}",
    "register the file first with `zizhu voucher register`",
    "没有凭证具有 {path} 的摘要",
    "请先用 `zizhu voucher register` 登记该文件",
)
UNREADABLE = ErrorCode(
    "voucher.unreadable",
    "{path} cannot be read: {reason}",
    "check the path and its permissions",
    "无法读取 {path}:{reason}",
    "请检查路径及其权限",
)


@dataclass(frozen=True, slots=True)
class Place:
    """A member, by name."""

    name: str
    client: MemberClient


@dataclass(frozen=True, slots=True)
class Serving:
    """A member whose voucher service answers, and what it says of itself."""

    place: Place
    service: ServiceReply

    def algorithm(self, type_: str) -> str:
        """The algorithm agreed for a type. Raises AskedWrongly (`voucher.type`)."""
        for one in self.service.types:
            if one.type == type_:
                return one.algorithm
        raise AskedWrongly(UNKNOWN_TYPE)


class Desk:
    """All members of one network. Raises what members refuse with, and OperatingFault when they do not answer."""

    def __init__(self, members: Sequence[tuple[str, Member]], *, clock: Clock | None = None) -> None:
        """`members` are *all* members of the network with their names, because f is computed from their number."""
        self._clock = clock or Clock()
        self.places = tuple(Place(name, MemberClient(member)) for name, member in members)
        self._ledger = LedgerClient([member for _, member in members], clock=self._clock)
        self.reader = EvidenceReader(self._query)
        self._serving: list[Serving] | None = None

    # Members

    def serving(self) -> list[Serving]:
        """The members whose services answer; asked once."""
        if self._serving is None:
            self._serving = list(self._ask_services())
        return self._serving

    def _ask_services(self) -> Iterator[Serving]:
        for place in self.places:
            try:
                yield Serving(place, place.client.get("/vouchers/service", ServiceReply, timeout_ms=SERVICE_TIMEOUT_MS))
            except (OperatingFault, AskedWrongly):
                continue

    def at(self, name: str | None) -> Serving:
        """The service of member `name`, or the first that answers."""
        found = self.serving()
        for one in found:
            if name in (None, one.place.name):
                return one
        if name is None:
            raise OperatingFault(UNREACHABLE, url=self.places[0].client.url, reason="no voucher service answers")
        raise AskedWrongly(NO_SUCH_MEMBER, name=name, names=", ".join(place.name for place in self.places))

    def signing_as(self, account: str) -> Serving:
        """The service that signs as `account` (hex).

        Raises OperatingFault (`voucher.signer_down`) when it may be a member that does not answer, AskedWrongly
        (`voucher.no_signer`) when all answer and none does.
        """
        for one in self.serving():
            if one.service.account == account:
                return one
        if len(self.serving()) < len(self.places):
            raise OperatingFault(SIGNER_DOWN, account=account)
        raise AskedWrongly(NO_SIGNER, account=account)

    def name_of(self, account: str) -> str:
        """The member that signs as `account` (hex), "" for somebody else."""
        return next((one.place.name for one in self.serving() if one.service.account == account), "")

    # Acts

    def register(
        self, at: Serving, path: Path, type_: str, *, progress: Callable[[int], None] = lambda _: None
    ) -> VoucherAsOf:
        """Registers a file at a member; `progress` is told bytes, twice those of the file. Raises AskedWrongly."""
        digest = _digest(path, at.algorithm(type_), progress)
        headers = {"x-zizhu-type": quote(type_), "x-zizhu-digest": digest.hex()}
        return self._upload(at.place, "/vouchers", path, headers, progress)

    def register_somewhere(
        self, path: Path, type_: str, *, progress: Callable[[int], None] = lambda _: None
    ) -> tuple[Serving, VoucherAsOf]:
        """Registers a file at the first member that answers, and at the next when that one dies on the way.

        What the dead one has still registered is found on the ledger, and not registered again.
        """
        while True:
            at = self.at(None)
            try:
                return at, self.register(at, path, type_, progress=progress)
            except OperatingFault:
                self._serving = [one for one in self.serving() if one is not at]
                if not self._serving:
                    raise
            digest = _digest(path, at.algorithm(type_), lambda _: None)
            for record in (found := self.reader.find(digest)).value:
                if record.issuer.hex() == at.service.account:
                    voucher = voucher_reply(record, bytes.fromhex(at.service.contract))
                    return at, VoucherAsOf(voucher, found.height, found.time_ms, hosted_here=False, created=True)

    def replace(self, index: int, path: Path, *, progress: Callable[[int], None] = lambda _: None) -> VoucherAsOf:
        """Puts a file in the place of the present one of a voucher."""
        record = self.reader.show(index).value
        at = self.signing_as(record.issuer.hex())
        digest = _digest(path, record.algorithm, progress)
        return self._upload(at.place, f"/vouchers/{index}/replace", path, {"x-zizhu-digest": digest.hex()}, progress)

    def transfer(self, index: int, to: str) -> VoucherAsOf:
        """Gives a voucher to an account (hex), or to the account of the member of that name."""
        for one in self.serving():
            if one.place.name == to:
                to = one.service.account
        at = self.signing_as(self.reader.show(index).value.holder.hex())
        return at.place.client.post(
            f"/vouchers/{index}/transfer", msgspec.json.encode(TransferRequest(to)), VoucherAsOf
        )

    def revoke(self, index: int, reason: str) -> VoucherAsOf:
        """Declares a voucher void."""
        at = self.signing_as(self.reader.show(index).value.issuer.hex())
        return at.place.client.post(
            f"/vouchers/{index}/revoke", msgspec.json.encode(RevokeRequest(reason)), VoucherAsOf
        )

    def _upload(
        self, place: Place, address: str, path: Path, headers: dict[str, str], progress: Callable[[int], None]
    ) -> VoucherAsOf:
        """Sends a file, again if the answer was lost: the same file of the same issuer is the same voucher."""
        headers = {"content-type": "application/octet-stream", **headers}
        for left in reversed(range(UPLOAD_ROUNDS)):
            try:
                with opened(path) as stream:
                    upload = Upload(stream, path.stat().st_size, progress)
                    request = Request("POST", API + address, upload, headers, FILE_TIMEOUT_MS)
                    return place.client.read(place.client.member.exchange(request), VoucherAsOf)
            except (OperatingFault, Busy) as error:
                if not left:
                    raise
                self._clock.pause(error.retry_after_ms if isinstance(error, Busy) else UPLOAD_PAUSE_MS)
        raise AssertionError("the last round returns or raises")

    # Reading

    def find_file(self, path: Path) -> AsOf[Record]:
        """The best voucher of a file. Raises AskedWrongly (`voucher.unregistered`, `voucher.unreadable`)."""
        with opened(path) as stream:
            digests = digest_stream(stream)
        records: list[Record] = []
        height = time_ms = 0
        for algorithm, digest in digests.items():
            found = self.reader.find(digest)
            records += [record for record in found.value if record.algorithm == algorithm]
            height, time_ms = found.height, found.time_ms
        best = judge_file(digests, records).record
        if best is None:
            raise AskedWrongly(UNREGISTERED, path=path)
        return AsOf(best, height, time_ms)

    def proof(self, index: int, contract: bytes, *, height: int) -> bytes:
        """The proof of a voucher, as of a height of at least `height`; unverified. Waits for the next state root."""
        key = record_key(contract, index)
        for left in reversed(range(PROOF_ROUNDS)):
            try:
                return self._ledger.ask(lambda member: member.state_proof(key, height=height, wait_ms=PROOF_WAIT_MS))
            except AskedWrongly as error:
                if error.code.code != "proof.not_yet" or not left:
                    raise
        raise AssertionError("the last round returns or raises")

    def fetch(self, place: Place, index: int, sink: BinaryIO) -> dict[str, bytes] | None:
        """Writes what member `place` gives out as the file of a voucher to `sink`; its digests, None if it has none."""
        digester = Digester()

        def take(data: bytes) -> None:
            digester.update(data)
            sink.write(data)

        request = Request("GET", f"{API}/vouchers/{index}/file", timeout_ms=FILE_TIMEOUT_MS, sink=take)
        try:
            place.client.member.exchange(request)
        except AskedWrongly as error:
            if error.code.code != "voucher.not_hosted":
                raise
            return None
        return digester.digests()

    def custodian(self, index: int) -> Serving:
        """The member that took the file of a voucher: the one that signs as its issuer."""
        return self.signing_as(self.reader.show(index).value.issuer.hex())

    # Verification

    def verify_file(self, path: Path) -> Answer:
        """Whether a file is a voucher, by f + 1 members."""
        with opened(path) as stream:
            digests = digest_stream(stream)
        return verify_digests(digests, self.sources(), needed=needed_of(len(self.places)), clock=self._clock)

    def verify_fetched(self, index: int, digests: dict[str, bytes] | None, *, custodian: str) -> Answer:
        """Whether what `custodian` gave out is voucher `index`, by f + 1 other members."""
        sources = self.sources(without=custodian)
        return verify_hosted(index, digests, sources, needed=needed_of(len(self.places)), clock=self._clock)

    def sources(self, *, without: str = "") -> list[Source]:
        """The members as readers of the contract; all but one, unless it is the only one there is."""
        others = [place for place in self.places if place.name != without] or list(self.places)
        return [Source(place.name, EvidenceReader(_query_of(place.client))) for place in others]

    def _query(self, method: str, *arguments: Value) -> QueryAnswer:
        return self._ledger.ask(lambda member: member.query(CONTRACT_NAME, method, *arguments))


def opened(path: Path) -> BinaryIO:
    """The file, for reading. Raises AskedWrongly (`voucher.unreadable`)."""
    try:
        return path.open("rb")
    except OSError as error:
        raise AskedWrongly(UNREADABLE, path=path, reason=error.strerror) from None


def _digest(path: Path, algorithm: str, progress: Callable[[int], None]) -> bytes:
    with opened(path) as stream:
        return digest_stream(stream, (algorithm,), progress=progress)[algorithm]


def _query_of(client: MemberClient) -> Callable[..., QueryAnswer]:
    def query(method: str, *arguments: Value) -> QueryAnswer:
        return client.query(CONTRACT_NAME, method, *arguments)

    return query
