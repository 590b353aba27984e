"""The types of voucher that a new ledger starts with, and the contract that keeps them.

Decides the types of the white paper (4.1), the digest algorithm agreed for each, and the contract's name. Refuses to
know how vouchers are kept: `components.evidence` does.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from zizhu.chain.model.genesis import GenesisContract
from zizhu.components.evidence.package import evidence_contract
from zizhu.components.evidence.record import Algorithm

CONTRACT_NAME = "vouchers"
"""The name under which the contract stands in the genesis; proofs of anything else are no proofs of vouchers."""
DEFAULT_TYPE = "document"


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of voucher: the algorithm agreed for its digest, and what people call it."""

    algorithm: Algorithm
    english: str
    chinese: str


KINDS: Mapping[str, Kind] = {
    "sales-slip": Kind("sm3", "sales slip", "签购单"),
    "payment-bill": Kind("sm3", "payment bill", "缴费账单"),
    "policy": Kind("sm3", "insurance policy", "保单"),
    "merchant-receipt": Kind("sm3", "merchant receipt", "企业小票"),
    "contract": Kind("sm3", "contract", "电子合同"),
    # Invoices cross borders with tools that know SHA-256 only.
    "invoice": Kind("sha256", "invoice", "电子发票"),
    "certificate": Kind("sm3", "certificate", "金融凭证和证明"),
    "document": Kind("sm3", "document", "其他文件"),
}
"""What stands in a genesis that nobody changed. A ledger's own types are asked of its contract."""


def genesis_contract() -> GenesisContract:
    """The voucher contract as it stands in the genesis of a new ledger."""
    return evidence_contract(CONTRACT_NAME, {name: kind.algorithm for name, kind in KINDS.items()})


def kind_name(type_: str, language: str) -> str:
    """What people call a type; a type of somebody's own ledger is called by its name."""
    kind = KINDS.get(type_)
    if kind is None:
        return type_
    return kind.chinese if language == "zh" else kind.english
