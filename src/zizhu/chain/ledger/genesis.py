"""The genesis: the file that all first members sign, and the state it opens.

Decides when a genesis may open a ledger, and what stands in the state at height 0. Refuses to know how the file
travels and where it lies.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from zizhu.chain.contracts.port import ContractEngine
from zizhu.chain.crypto.accounts import member_id
from zizhu.chain.crypto.hashing import genesis_consent_message, genesis_contract_id, ledger_id
from zizhu.chain.crypto.port import Signed, Suite
from zizhu.chain.ledger.execute import Executor, Failure, Installation, unpriced
from zizhu.chain.ledger.host import Caller
from zizhu.chain.ledger.keys import NO_ACCOUNT
from zizhu.chain.ledger.outcomes import root_outcome
from zizhu.chain.ledger.state import Overlay, State
from zizhu.chain.ledger.tree import StateTree
from zizhu.chain.model import limits
from zizhu.chain.model.block import Outcome
from zizhu.chain.model.certificate import SignedBy
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.epoch import VERSION as RECORD_VERSION
from zizhu.chain.model.epoch import EpochRecord, Member, Parameters
from zizhu.chain.model.errors import AskedWrongly, ErrorCode
from zizhu.chain.model.genesis import VERSION, Genesis, GenesisContract, Rule, SignedGenesis, genesis_codec
from zizhu.chain.model.ids import LedgerId, MemberId
from zizhu.chain.model.transaction import Deploy

PBFT_MEMBERS_MIN = 4

TOO_FEW_MEMBERS = ErrorCode(
    "genesis.too_few_members",
    "engine pbft needs at least 4 members to survive one faulty member; there are {members}",
    "add members, or use engine solo for a developer's single machine",
    "pbft 引擎至少需要 4 个成员才能容忍一个故障成员;当前为 {members} 个",
    "请增加成员;仅供开发者单机使用时可选 solo 引擎",
)
TWICE = ErrorCode(
    "genesis.twice",
    "{what} {name} stands in the genesis twice",
    "give every member, key and contract of the genesis its own",
    "创世文件中 {what} {name} 重复",
    "请确保每个成员、密钥与合约互不相同",
)
BAD_MEMBER = ErrorCode(
    "genesis.member",
    "member {name} cannot stand in the genesis: {reason}",
    "correct the member's entry; a key has the length of the suite's member keys",
    "成员 {name} 不能写入创世文件:{reason}",
    "请更正该成员的条目;密钥长度须符合密码套件",
)
BAD_PARAMETERS = ErrorCode(
    "genesis.parameters",
    "the parameters contradict each other: {reason}",
    "correct the parameters; the defaults are consistent",
    "参数相互矛盾:{reason}",
    "请更正参数;默认值是一致的",
)
WRONG_SUITE = ErrorCode(
    "genesis.suite",
    "the genesis names suite {named}, not {given}",
    "open it with the suite it names",
    "创世文件指定的密码套件是 {named},而非 {given}",
    "请使用其指定的密码套件",
)
UNSIGNED = ErrorCode(
    "genesis.unsigned",
    "member {name} has not signed the genesis",
    "every first member signs; collect the missing signature",
    "成员 {name} 尚未签署创世文件",
    "所有首批成员都必须签署;请补齐签名",
)
BAD_SIGNATURE = ErrorCode(
    "genesis.signature",
    "a signature of the genesis does not hold: {reason}",
    "sign this very genesis again with the member's voting key; do not open a ledger from this file",
    "创世文件的签名无效:{reason}",
    "请用成员投票密钥重新签署;请勿用该文件创建账本",
)
BAD_CONTRACT = ErrorCode(
    "genesis.contract",
    "contract {name} of the genesis cannot be installed: {rule} {text}",
    "correct the contract or its arguments; `zizhu contract check` shows where",
    "创世合约 {name} 无法安装:{rule} {text}",
    "请更正合约或其参数;可用 `zizhu contract check` 定位",
)


@dataclass(frozen=True, slots=True)
class Founding:
    """Who founds a ledger, and on what terms; what `build_genesis` makes a genesis of."""

    name: str
    time_ms: int
    engine: str
    suite: str
    members: tuple[Member, ...]
    contracts: tuple[GenesisContract, ...] = ()
    rules: tuple[Rule, ...] = ()
    parameters: Parameters = field(default_factory=Parameters)


@dataclass(frozen=True, slots=True)
class Founded:
    """The state of height 0, its tree, and its outcome."""

    state: State
    tree: StateTree
    outcome: Outcome


def build_genesis(suite: Suite, founding: Founding) -> Genesis:
    """The genesis of a new ledger, not yet signed. Raises AskedWrongly (`genesis.*`)."""
    record = EpochRecord(
        RECORD_VERSION, 0, founding.engine, founding.suite, list(founding.members), founding.parameters
    )
    genesis = Genesis(VERSION, founding.name, founding.time_ms, record, list(founding.contracts), list(founding.rules))
    check_genesis(suite, genesis)
    return genesis


def check_genesis(suite: Suite, genesis: Genesis) -> None:
    """Whether a ledger may open with it, signatures aside. Raises AskedWrongly (`genesis.*`)."""
    record = genesis.record
    if record.suite != suite.name:
        raise AskedWrongly(WRONG_SUITE, named=record.suite, given=suite.name)
    if record.engine == "pbft" and len(record.members) < PBFT_MEMBERS_MIN:
        raise AskedWrongly(TOO_FEW_MEMBERS, members=len(record.members))
    for member in record.members:
        if len(member.vote_key) != suite.members.public_key_bytes:
            reason = f"its voting key has {len(member.vote_key)} bytes, not {suite.members.public_key_bytes}"
            raise AskedWrongly(BAD_MEMBER, name=member.name, reason=reason)
        _check_names((member.name, member.organisation))
    _once("member name", [member.name for member in record.members])
    _once("voting key", [member.vote_key.hex() for member in record.members])
    _once("TLS key", [member.tls_pin.hex() for member in record.members])
    _once("contract name", [contract.name for contract in genesis.contracts])
    _once("rule", [rule.act for rule in genesis.rules])
    _check_names([contract.name for contract in genesis.contracts])
    _check_parameters(record.parameters)


def sign_genesis(suite: Suite, genesis: Genesis, sign: Callable[[bytes], bytes], vote_key: bytes) -> SignedBy:
    """A member's consent; `sign` signs with the secret of `vote_key`."""
    signature = sign(genesis_consent_message(suite, ledger_id(suite, genesis)))
    return SignedBy(member_id(suite, vote_key), signature)


def verify_signed_genesis(suite: Suite, signed: SignedGenesis) -> LedgerId:
    """The ledger id, if the genesis is sound and every member (and nobody else) has signed it, once.

    Raises AskedWrongly (`genesis.*`).
    """
    genesis = signed.genesis
    check_genesis(suite, genesis)
    ledger = ledger_id(suite, genesis)
    message = genesis_consent_message(suite, ledger)
    keys = {member_id(suite, member.vote_key): member for member in genesis.record.members}
    signatures: dict[MemberId, bytes] = {}
    for entry in signed.signatures:
        member = MemberId(entry.member)
        if member not in keys:
            raise AskedWrongly(BAD_SIGNATURE, reason=f"{member.hex()[:16]} is no member")
        if member in signatures:
            raise AskedWrongly(BAD_SIGNATURE, reason=f"{keys[member].name} has signed twice")
        signatures[member] = entry.signature
    for member, described in keys.items():
        if member not in signatures:
            raise AskedWrongly(UNSIGNED, name=described.name)
    batch = [Signed(described.vote_key, message, signatures[member]) for member, described in keys.items()]
    for described, good in zip(keys.values(), suite.members.verify_many(batch), strict=True):
        if not good:
            raise AskedWrongly(BAD_SIGNATURE, reason=f"that of {described.name} is wrong")
    return ledger


def encode_genesis(signed: SignedGenesis) -> bytes:
    """The bytes of the file."""
    return encode(signed)


def parse_genesis(data: bytes) -> SignedGenesis:
    """The file; unverified, because the suite to verify it with is named inside.

    Raises SpokeWrongly (`encoding.malformed`).
    """
    return genesis_codec.decode(data)


def found(genesis: Genesis, ledger: LedgerId, executor: Executor) -> Founded:
    """The state of height 0: the contracts of the genesis, each installed and its `init` run.

    `init` runs without a caller (20 zero bytes), under the ledger id as transaction id; it may use as many
    steps as a block; its events belong to no receipt and are not kept. Raises AskedWrongly (`genesis.contract`).
    """
    state = State()
    overlay = Overlay(state)
    setting = executor.setting(0, genesis.time_ms)
    caller = Caller(NO_ACCOUNT, ledger)
    budget = unpriced(genesis.record.parameters.block_steps_max)
    for contract in genesis.contracts:
        package = Deploy(contract.name, contract.engine, contract.source, contract.arguments)
        installation = Installation(genesis_contract_id(executor.suite, contract.name), package, NO_ACCOUNT)
        try:
            executor.install(installation, overlay, setting, caller, budget=budget)
        except Failure as failure:
            raise AskedWrongly(BAD_CONTRACT, name=contract.name, rule=failure.code, text=failure.text) from None
    overlay.freeze()
    state.apply(overlay.changes())
    tree = StateTree.empty(executor.suite.hash).update(overlay.changes())
    return Founded(state, tree, root_outcome(executor.suite, 0, tree.root, ()))


def genesis_engines(genesis: Genesis, engines: Mapping[str, ContractEngine]) -> list[str]:
    """Names of contract engines that the genesis needs and this node does not have."""
    needed = dict.fromkeys(contract.engine for contract in genesis.contracts)
    return [name for name in needed if name not in engines]


def _once(what: str, names: list[str]) -> None:
    seen: dict[str, None] = {}
    for name in names:
        if name in seen:
            raise AskedWrongly(TWICE, what=what, name=name)
        seen[name] = None


def _check_names(names: tuple[str, ...] | list[str]) -> None:
    for name in names:
        if not 0 < len(name.encode()) <= limits.NAME_BYTES_MAX:
            reason = f"names have 1 to {limits.NAME_BYTES_MAX} bytes of UTF-8"
            raise AskedWrongly(BAD_MEMBER, name=name, reason=reason)


def _check_parameters(parameters: Parameters) -> None:
    """Bounds that no single parameter can state: whatever is admitted must fit into a block."""
    if parameters.batch_transactions > parameters.block_transactions_max:
        raise AskedWrongly(BAD_PARAMETERS, reason="batch_transactions is above block_transactions_max")
    if parameters.view_timeout_ms > parameters.view_timeout_cap_ms:
        raise AskedWrongly(BAD_PARAMETERS, reason="view_timeout_ms is above view_timeout_cap_ms")
