"""Proofs from the state tree: that a key has a value, or that it has none, checked against a root alone.

Decides every check that such a proof (`tree.StateProof`) must pass. Refuses to know where the root came from: that
somebody stands behind it is the business of certificates.

A proof carries nothing that can be computed: no positions (they are the nibbles of the key's hash), no digest of
the node on the path itself, no sides. So there is nothing to swap or to contradict, and a node can be read in
one way only: buckets, inner nodes and roots are hashed under domains of their own.

It shows the hashes of up to 31 neighbouring keys and of their values: who can guess a neighbour's key *and* whole
value can confirm the guess. What must not be guessable is stored under a salt.
Source: docs/protocol/state-and-proofs.md.
"""

from dataclasses import dataclass
from itertools import pairwise

from zizhu.chain.ledger.tree import (
    BUCKET_KEYS_MAX,
    DEPTH_MAX,
    ENTRY_BYTES,
    SIBLINGS_BYTES,
    Hash,
    StateProof,
    bucket_digest,
    inner_digest,
    nibble,
    position,
    root_digest,
)
from zizhu.chain.model.encoding import Codec
from zizhu.chain.model.errors import ErrorCode, SpokeWrongly

INVALID = ErrorCode(
    "proof.invalid",
    "the proof does not hold: check {check}: {reason}",
    "fetch the proof again from another member; if it fails again, do not rely on what it claims",
    "证明不成立:检查项 {check}:{reason}",
    "请从另一成员重新获取证明;若仍不成立,请勿采信其内容",
)


class ProofRefused(SpokeWrongly):
    """`proof.invalid`; its value `check` names what failed, and the reason is told in the language asked for."""

    def __init__(self, *, check: str, reason: str, reason_zh: str) -> None:
        self._reason_zh = reason_zh
        super().__init__(INVALID, check=check, reason=reason)

    def cause(self, language: str = "en") -> str:
        """What happened, in `language` ("en" or "zh")."""
        if language != "zh":
            return super().cause(language)
        return self.code.cause_zh.format(check=self.values["check"], reason=self._reason_zh)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing a proof must pass: a stable name, and what failing it means, in both languages (`{name}` fields)."""

    name: str
    failed: str
    failed_zh: str

    def error(self, **values: object) -> ProofRefused:
        """The refusal of a proof that fails this check; `values` fill its texts."""
        return ProofRefused(
            check=self.name, reason=self.failed.format(**values), reason_zh=self.failed_zh.format(**values)
        )


ENTRIES = Check(
    "state-entries",
    "the bucket is not 0 to 32 entries of 64 bytes in ascending order",
    "桶不是按升序排列的 0 至 32 个 64 字节条目",
)
PLACE = Check(
    "state-place",
    "the bucket holds an entry that does not belong under the path of the key",
    "桶中含有不属于该键路径的条目",
)
COUNT = Check(
    "state-count",
    "the number of keys cannot be that of a tree of this depth",
    "键的数量与该深度的树不符",
)
ROOT = Check("state-root", "bucket and path do not lead to the state root", "桶与路径推不出该状态根")

_HASH_BYTES = 32
state_proof_codec: Codec[StateProof] = Codec(StateProof, what="state proof", bytes_max=64 * 1024)


def verify_state_proof(hash_: Hash, root: bytes, key: bytes, proof: StateProof) -> bytes | None:
    """The value hash of `key` under `root`, or None where its absence is what was proven.

    Raises SpokeWrongly (`proof.invalid`, its value `check` names the one that failed).
    """
    key_hash = hash_(b"state-key", key)
    entries = proof.entries
    _check_entries(entries)
    _check_place(entries, key_hash, len(proof.path))
    held = len(entries) // ENTRY_BYTES
    if (proof.count <= BUCKET_KEYS_MAX) if proof.path else (proof.count != held):
        raise COUNT.error()
    digest = bucket_digest(hash_, entries)
    for depth in range(len(proof.path) - 1, -1, -1):
        siblings = proof.path[depth]
        if len(siblings) != SIBLINGS_BYTES:
            raise ROOT.error()
        at = nibble(key_hash, depth) * _HASH_BYTES
        digest = inner_digest(hash_, siblings[:at] + digest + siblings[at:])
    if root_digest(hash_, count=proof.count, top=digest) != root:
        raise ROOT.error()
    at = position(entries, key_hash, 0)
    found = entries[at : at + ENTRY_BYTES]
    return found[_HASH_BYTES:] if found[:_HASH_BYTES] == key_hash else None


def _check_entries(entries: bytes) -> None:
    if len(entries) % ENTRY_BYTES or len(entries) > BUCKET_KEYS_MAX * ENTRY_BYTES:
        raise ENTRIES.error()
    keys = [entries[at : at + _HASH_BYTES] for at in range(0, len(entries), ENTRY_BYTES)]
    if any(earlier >= later for earlier, later in pairwise(keys)):
        raise ENTRIES.error()


def _check_place(entries: bytes, key_hash: bytes, depth: int) -> None:
    """Every entry shares the first `depth` nibbles of the key's hash; first and last do it for all between."""
    if depth > DEPTH_MAX:
        raise PLACE.error()
    for at in (0, len(entries) - ENTRY_BYTES) if entries else ():
        for level in range(depth):
            if nibble(entries[at : at + _HASH_BYTES], level) != nibble(key_hash, level):
                raise PLACE.error()
