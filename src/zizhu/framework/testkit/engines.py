"""The consensus engines that the simulator plays: what each says on the wire, how it is built, how its state reads.

Decides nothing of a run. An engine is imported when a member first boots with it.
"""

import importlib
from collections.abc import Callable

import msgspec

from zizhu.chain.consensus.pbft.messages import MESSAGES as PBFT_MESSAGES
from zizhu.chain.consensus.port import ConsensusEngine, EngineStatus, Setting
from zizhu.chain.consensus.raft.messages import MESSAGES as RAFT_MESSAGES
from zizhu.chain.model.ids import MemberId
from zizhu.chain.network.messages import MESSAGES as NETWORK_MESSAGES
from zizhu.chain.network.wire import Wire

Factory = Callable[[Setting], ConsensusEngine]

MESSAGES: dict[str, tuple[type[msgspec.Struct], ...]] = {"pbft": PBFT_MESSAGES, "raft": RAFT_MESSAGES}
WIRES = {name: Wire((*messages, *NETWORK_MESSAGES)) for name, messages in MESSAGES.items()}


def factory(engine: str) -> Factory:
    """`build` of the engine of this name."""
    build: Factory = importlib.import_module(f"zizhu.chain.consensus.{engine}.engine").build
    return build


def engine_state(status: EngineStatus, me: MemberId) -> str:
    """The protocol state of an engine of member `me` in a word or two."""
    if status.reason:
        return "recalling" if status.reason == "recalling" else "memory lost"
    if status.engine != "raft":
        return "in view" if status.active else "changing view"
    if not status.active:
        return "electing"
    return "leading" if status.leader == me else "following"
