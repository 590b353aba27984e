"""The evidence contract as a package: its source, its arguments, and what its failures mean in words.

Decides how the contract enters a genesis and which error a failed call of it is. Refuses to know who calls it, and
which types of voucher a scenario wants: they are given.
"""

from collections.abc import Mapping
from importlib.resources import files

from zizhu.chain.model.errors import AskedWrongly, ErrorCode
from zizhu.chain.model.genesis import GenesisContract
from zizhu.chain.model.value import Key, Value, encode_arguments

ENGINE = "script"
SOURCE_FILE = "evidence.zs"
APP = "app."
"""What the engine puts before the codes of a contract."""

UNKNOWN_TYPE = ErrorCode(
    "voucher.type",
    "this ledger has no such type of voucher",
    "choose one of the types that `zizhu voucher types` lists",
    "本账本没有该凭证类型",
    "请从 `zizhu voucher types` 列出的类型中选择",
)
WRONG_ALGORITHM = ErrorCode(
    "voucher.algorithm",
    "another digest algorithm is agreed for this type of voucher",
    "compute the digest by the algorithm that `zizhu voucher types` shows for the type",
    "该凭证类型约定使用另一种摘要算法",
    "请使用 `zizhu voucher types` 中该类型对应的算法计算摘要",
)
BAD_DIGEST = ErrorCode(
    "voucher.digest",
    "a digest has 32 bytes",
    "give the digest as 64 hexadecimal digits",
    "摘要长度应为 32 字节",
    "请以 64 位十六进制数给出摘要",
)
BAD_SALT = ErrorCode(
    "voucher.salt",
    "a salt has 32 random bytes",
    "draw 32 random bytes for each voucher",
    "盐应为 32 个随机字节",
    "请为每个凭证生成 32 个随机字节",
)
UNKNOWN_INDEX = ErrorCode(
    "voucher.unknown",
    "no voucher has this index",
    "look the voucher up with `zizhu voucher list`",
    "没有该索引的凭证",
    "请用 `zizhu voucher list` 查询凭证",
)
NOT_HOLDER = ErrorCode(
    "voucher.not_holder",
    "only the holder may transfer this voucher",
    "let the member whose account holds it transfer it; `zizhu voucher show` names the holder",
    "只有持有人可以转让该凭证",
    "请由持有该凭证的账户所属成员办理;`zizhu voucher show` 会显示持有人",
)
NOT_ISSUER = ErrorCode(
    "voucher.not_issuer",
    "only the issuer may replace or revoke this voucher",
    "let the member whose account issued it do so; `zizhu voucher show` names the issuer",
    "只有签发人可以换发或撤销该凭证",
    "请由签发该凭证的成员办理;`zizhu voucher show` 会显示签发人",
)
REVOKED = ErrorCode(
    "voucher.revoked",
    "the voucher is revoked and does not change any more",
    "register a new voucher",
    "该凭证已撤销,不能再变更",
    "请登记新的凭证",
)
BAD_ACCOUNT = ErrorCode(
    "voucher.account",
    "the new holder is not an account",
    "give the account's id, 40 hexadecimal digits, or the name of a member",
    "新持有人不是有效账户",
    "请给出账户标识(40 位十六进制数)或成员名称",
)
SAME_HOLDER = ErrorCode(
    "voucher.same_holder",
    "the account holds the voucher already",
    "nothing is left to do",
    "该账户已持有此凭证",
    "无需再操作",
)
DIGEST_TAKEN = ErrorCode(
    "voucher.digest_taken",
    "the issuer has registered this file before",
    "replace the voucher by a file that is new",
    "签发人此前已登记过该文件",
    "请使用新的文件换发",
)
TOO_MANY_REPLACEMENTS = ErrorCode(
    "voucher.replacements",
    "the voucher has been replaced 32 times, which is the most",
    "revoke it and register a new voucher",
    "该凭证已换发 32 次,达到上限",
    "请撤销后登记新的凭证",
)
BAD_REASON = ErrorCode(
    "voucher.reason",
    "a reason has 1 to 200 characters",
    "say in one sentence why the voucher is revoked",
    "理由应为 1 至 200 个字符",
    "请用一句话说明撤销理由",
)
BAD_PAGE = ErrorCode(
    "voucher.page",
    "the page that is asked for does not exist",
    "ask for at most 20 vouchers or 50 acts, behind an index or number from 0",
    "请求的分页不存在",
    "每页最多 20 个凭证或 50 条记录,起点从 0 开始",
)
FAILED = ErrorCode(
    "voucher.failed",
    "the ledger did not carry out {method}: {reason}",
    "look at the transaction with `zizhu tx`",
    "账本未执行 {method}:{reason}",
    "请用 `zizhu tx` 查看该交易",
)

_KNOWN = {
    code.code: code
    for code in (
        UNKNOWN_TYPE,
        WRONG_ALGORITHM,
        BAD_DIGEST,
        BAD_SALT,
        UNKNOWN_INDEX,
        NOT_HOLDER,
        NOT_ISSUER,
        REVOKED,
        BAD_ACCOUNT,
        SAME_HOLDER,
        DIGEST_TAKEN,
        TOO_MANY_REPLACEMENTS,
        BAD_REASON,
        BAD_PAGE,
    )
}


def source() -> bytes:
    """The contract's source, UTF-8."""
    return (files("zizhu.components.evidence") / "contract" / SOURCE_FILE).read_bytes()


def evidence_contract(name: str, types: Mapping[str, str]) -> GenesisContract:
    """The contract as it stands in a genesis under `name`; `types` maps each type to "sm3" or "sha256"."""
    agreed: dict[Key, Value] = dict(types.items())
    return GenesisContract(name, ENGINE, source(), encode_arguments([agreed]))


def failure(code: str, *, method: str) -> AskedWrongly:
    """The error that a call of `method` which failed with the receipt's `code` is."""
    known = _KNOWN.get(code.removeprefix(APP))
    return AskedWrongly(FAILED, method=method, reason=code) if known is None else AskedWrongly(known)
