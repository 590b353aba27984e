"""What the world tells the node machine, and what the node asks of its driver beside the shared effects.

Decides the vocabulary between `node.machine` and its two drivers: `node.runtime` and the test kit's simulator.
A driver does, for the effects of one step in order:

- Persist: append the records to the named logs and sync; nothing that is held (below) leaves before that is done.
  A record of the log "blocks" is then handed to the archive (`BlockArchive.index_changes`) with its position.
- held until every earlier Persist is durable, in order: Send, Sign, Answer, Published, Keep.
- at once: SetTimer, Verify, Report.
"""

from dataclasses import dataclass

import msgspec

from zizhu.chain.crypto.port import Signed as SignedMessage
from zizhu.chain.model.effects import Message, Persist, Report, Send, SetTimer, Sign
from zizhu.chain.model.errors import ZizhuError
from zizhu.chain.model.ids import MemberId, TransactionId
from zizhu.chain.model.receipt import Receipt
from zizhu.chain.storage.port import Change

# -- events ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The driver runs; told once, first."""


@dataclass(frozen=True, slots=True)
class Received:
    """A decoded message over the authenticated link of `peer`."""

    peer: MemberId
    message: Message


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """The link to `peer` came up or went down."""

    peer: MemberId
    up: bool


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer set by `SetTimer`."""

    name: str


@dataclass(frozen=True, slots=True)
class Signed:
    """Answer to `Sign`."""

    purpose: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Verified:
    """Answer to `Verify`: one verdict a check, in order."""

    batch: int
    verdicts: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Submit:
    """A client hands in submissions, each in its canonical bytes; answered by `Submitted`."""

    raws: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Await:
    """A client waits for the final receipt of a transaction."""

    transaction: TransactionId


@dataclass(frozen=True, slots=True)
class Forget:
    """The client is gone: no answer is wanted any more."""


Request = Submit | Await | Forget


@dataclass(frozen=True, slots=True)
class Asked:
    """A client (a number the driver chose; one request outstanding each) asks."""

    client: int
    request: Request


@dataclass(frozen=True, slots=True)
class Stopping:
    """The driver stops in good order after this: last words. Told once, last."""


Event = Started | Received | LinkChanged | TimerFired | Signed | Verified | Asked | Stopping

# -- effects beside model.effects ------------------------------------------------------------------------------


class SignatureCheck(msgspec.Struct, frozen=True):
    """An account's signature to verify, under the account scheme of suite code `suite`."""

    suite: int
    signed: SignedMessage


@dataclass(frozen=True, slots=True)
class Verify:
    """Verify clients' signatures; answered by `Verified(batch, verdicts)`. `urgent`: a block waits for it."""

    batch: int
    checks: tuple[SignatureCheck, ...]
    urgent: bool = False


class Accepted(msgspec.Struct, frozen=True):
    """The submission waits in the pool: its transactions, in order. Not final: see `Final`."""

    transactions: tuple[TransactionId, ...]


@dataclass(frozen=True, slots=True)
class Final:
    """The transaction is in a certified, durable block."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Expired:
    """A certified height is past the transaction's `valid_until_height`, and it has no receipt: it never will."""

    transaction: TransactionId
    height: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """The submission breaks a rule, or comes at a bad moment; nothing was changed."""

    error: ZizhuError


@dataclass(frozen=True, slots=True)
class Submitted:
    """One outcome a submission, in order."""

    outcomes: tuple[Accepted | Rejected, ...]


Reply = Submitted | Final | Expired


@dataclass(frozen=True, slots=True)
class Answer:
    """Tell a client. Held."""

    client: int
    reply: Reply


@dataclass(frozen=True, slots=True)
class Keep:
    """Write this to the state store as one atomic batch (it moves the store's marker too). Not a barrier: the
    block log can redo it. Held, so that the store is never ahead of the log."""

    batch: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """Everything up to `height` is certified and durable: readers may see it. Held."""

    height: int


Effect = Send | SetTimer | Persist | Sign | Report | Verify | Answer | Keep | Published
