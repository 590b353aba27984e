"""The follower's side of the log: agree or say where the logs part, execute, write down, acknowledge.

Decides what a follower takes from its leader. An entry is acknowledged once its block is held, executed and durable,
and no committed entry is ever cut off. Source: Ongaro (2014), sections 3.5 and 5.1; docs/protocol/raft.md, rules 4
and 7.
"""

import itertools

from zizhu.chain.consensus.port import Behind, Execute, Executed, Ready
from zizhu.chain.consensus.raft import endorsing, terms
from zizhu.chain.consensus.raft.log import LogEntry
from zizhu.chain.consensus.raft.messages import (
    CERTIFICATES_MAX,
    Append,
    Appended,
    AppendReply,
    Entry,
    Install,
    Installed,
)
from zizhu.chain.consensus.raft.state import TERM_AHEAD_MAX, Role, State
from zizhu.chain.crypto.hashing import block_hash
from zizhu.chain.model.ids import BlockHash, MemberId

INCOMING_MAX = 512
"""Entries that wait to be executed; what does not fit is refused, and sent again."""


def receive(s: State, peer: MemberId, said: Append) -> None:
    """Entries or a heartbeat of the leader."""
    if not _accepts(s, peer, said.term):
        return
    rule = _why_malformed(s, said)
    if rule:
        s.fault(peer, rule, term=said.term)
        return
    endorsing.take_certificates(s, peer, said.certificates)
    if not s.voting:
        # It follows by certified blocks alone, and promises nothing.
        if said.head > s.head.height:
            s.out.append(Behind(peer, said.head))
        return
    end = said.previous_index + len(said.entries)
    s.show(peer, end)
    if end < s.log.base_index:
        end = s.log.base_index
    else:
        known = s.term_at(said.previous_index)
        if said.previous_index >= s.log.base_index and known != said.previous_term:
            _refuse(s, peer, said)
            return
        taken = _take(s, peer, said)
        if taken is None:
            return
        end = taken
    s.verified = max(s.verified, end)
    s.leader_commit = max(s.leader_commit, min(said.commit_index, s.verified))
    drain(s)
    advance(s)
    _ask_again(s)
    acknowledge(s, above=said.head)


def _accepts(s: State, peer: MemberId, term: int) -> bool:
    """Whether the sender is the leader of this member's term, or of a newer one that this member then enters."""
    if term > s.term + TERM_AHEAD_MAX:
        s.fault(peer, "term_out_of_window", term=term)
        return False
    if term < s.term:
        if s.voting:
            s.send((peer,), AppendReply(s.epoch, s.term, agreed=False, match=0, match_term=0, endorsements=[]))
        return False
    if not s.voting:
        s.leader = peer
        return True
    if term == s.term and (s.leading or s.leader not in {None, peer}):
        s.fault(peer, "second_leader", term=term)
        return False
    if term == s.refused_term:
        return False
    if term > s.term or s.leader is None or s.role is not Role.FOLLOWER:
        terms.follow(s, term, peer)
    terms.heard(s)
    return True


def _why_malformed(s: State, said: Append) -> str:
    """The rule that an append breaks by itself; "" if none. Terms and heights ascend; a header is its block's."""
    term, height = said.previous_term, -1
    previous: BlockHash | None = None
    for entry in said.entries:
        if not term <= entry.term <= said.term:
            return "append_terms"
        is_block = entry.block is not None
        if height >= 0 and entry.height != height + is_block:
            return "append_heights"
        header = entry.header
        if header is not None:
            if entry.block != block_hash(s.voters.suite, header) or header.height != entry.height:
                return "append_header"
            if previous is not None and header.parent != previous:
                return "append_parent"
        term, height = entry.term, entry.height
        previous = BlockHash(entry.block) if entry.block is not None else previous
    return ""


def _refuse(s: State, peer: MemberId, said: Append) -> None:
    """The logs do not agree at the place that the leader named: say where they may."""
    hint = s.log.last_of_term(min(said.previous_index, s.log.last_index), said.previous_term)
    if hint == said.previous_index:
        hint -= 1
    hint = max(hint, s.log.base_index)
    term = s.log.term_at(hint) or 0
    s.send((peer,), AppendReply(s.epoch, s.term, agreed=False, match=hint, match_term=term, endorsements=[]))


def _take(s: State, peer: MemberId, said: Append) -> int | None:
    """Let the log, with what waits to be executed, continue as the leader says; the last index taken, or None for an
    offence. Entries that are here already are passed over, so an old append cuts nothing off."""
    index = said.previous_index
    for entry in said.entries:
        index += 1
        if s.term_at(index) == entry.term or index < s.log.base_index:
            continue
        if index == s.log.base_index:
            s.fault(peer, "append_overwrites", index=index)
            return None
        if index <= s.last_index() and not _cut(s, peer, index):
            return None
        below = s.incoming[-1][1].height if s.incoming else s.log.last_height
        if entry.height != below + (entry.block is not None):
            s.fault(peer, "append_heights", height=entry.height)
            return None
        if len(s.incoming) >= INCOMING_MAX:
            return index - 1
        s.incoming.append((index, entry))
        _want(s, entry)
    return index


def _cut(s: State, peer: MemberId, index: int) -> bool:
    """Forget what an earlier leader wrote from `index` on; never what is committed."""
    if index <= s.commit_index:
        s.fault(peer, "append_overwrites", index=index)
        return False
    s.incoming = list(itertools.takewhile(lambda each: each[0] < index, s.incoming))
    if index <= s.log.last_index:
        s.report("entries_cut", index=index, last=s.log.last_index)
        s.log.cut(index)
    s.verified = min(s.verified, index - 1)
    s.drop_rivals()
    return True


def _want(s: State, entry: Entry) -> None:
    """Ask the node for the block of an entry, unless it is certified or executed here."""
    if entry.block is None or entry.height <= s.head.height or entry.block in s.known:
        return
    sources = () if s.leader is None else (s.leader,)
    s.out.append(Execute(BlockHash(entry.block), entry.header, tuple(entry.entries), sources, fresh=False))


def _ask_again(s: State) -> None:
    """The node may have given up a block that this log still waits for."""
    if s.incoming:
        _want(s, s.incoming[0][1])


def drain(s: State) -> None:
    """Move entries whose blocks are executed, or certified already, into the log: in order, written down first."""
    records = []
    while s.incoming:
        index, entry = s.incoming[0]
        block = None if entry.block is None else BlockHash(entry.block)
        if block is not None and entry.height > s.head.height:
            if block not in s.known:
                break
            if not _continues(s, entry.height, s.known[block].ready):
                _leave(s, "block.parent")
                break
        s.incoming.pop(0)
        at = s.log.append(LogEntry(entry.term, entry.height, block))
        assert at == index, "what waits continues the log"
        records.append(Appended(s.epoch, index, entry.term, entry.height, block))
    if records:
        s.persist(*records)


def _continues(s: State, height: int, ready: Ready) -> bool:
    """Whether a block is the child of the log's newest one, which is the head if the log goes no further."""
    below = s.head.block if s.log.last_height <= s.head.height else s.log.block_below(s.log.last_index)
    return ready.height == height and ready.parent == below


def executed(s: State, event: Executed) -> None:
    """A block is here: the log may go on, and the leader hears of it."""
    s.known[event.ready.block] = event
    if s.role is Role.FOLLOWER and s.voting and s.incoming:
        before = s.log.last_index
        drain(s)
        if s.log.last_index > before:
            advance(s)
            s.owes_reply = True


def refused(s: State, block: BlockHash, code: str) -> None:
    """A block breaks a rule, which no honest leader's does: this leader is not followed any further."""
    if not any(entry.block == block for _, entry in s.incoming) or s.leader is None:
        return
    _leave(s, code)


def _leave(s: State, code: str) -> None:
    """Follow nobody for the rest of this term. The leader is named, unless it was only overtaken: what it goes on
    sending does not continue what others have certified meanwhile."""
    if s.leader is not None and s.holds_head():
        s.fault(s.leader, "block_refused", code=code)
    s.refused_term, s.leader = s.term, None
    s.incoming.clear()
    s.drop_rivals()


def advance(s: State) -> None:
    """The follower's commit index: what the leader says is committed, as far as it is here and agrees."""
    index = min(s.leader_commit, s.verified, s.log.last_index)
    if index > s.commit_index:
        s.commit_index = index
        endorsing.endorse_committed(s)


def acknowledge(s: State, *, above: int) -> None:
    """Tell the leader what is durable here and agrees with its log, with this member's signatures above its head."""
    s.owes_reply = False
    if s.leader is None or s.leader == s.me or not s.voting:
        return
    match = min(s.verified, s.log.last_index)
    endorsements = [s.signatures[height] for height in sorted(s.signatures) if height > above][:CERTIFICATES_MAX]
    reply = AppendReply(
        s.epoch,
        s.term,
        agreed=True,
        match=match,
        match_term=s.log.term_at(match) or 0,
        endorsements=endorsements,
    )
    s.send((s.leader,), reply)


def install(s: State, peer: MemberId, said: Install) -> None:
    """The leader's log begins behind what this one lacks: catch up by certified blocks, then begin there too."""
    if not _accepts(s, peer, said.term):
        return
    if said.entry_term > said.term:
        s.fault(peer, "install_terms", term=said.entry_term)
        return
    if said.height > s.head.height:
        s.out.append(Behind(peer, said.height))
    elif s.voting and said.index > s.log.base_index:
        if s.log.term_at(said.index) != said.entry_term and not _begin_behind(s, peer, said):
            return
        s.verified = max(s.verified, said.index)
    # Answered always: an earlier answer may be lost, and a leader that hears from nobody steps down.
    s.verified = max(s.verified, s.log.base_index)
    acknowledge(s, above=s.head.height)


def _begin_behind(s: State, peer: MemberId, said: Install) -> bool:
    """Let the log begin where the leader's does; False for an offence."""
    if said.index <= s.commit_index:
        s.fault(peer, "install_overwrites", index=said.index)
        return False
    s.incoming.clear()
    s.log.start_behind(said.index, said.entry_term, said.height)
    s.persist(Installed(s.epoch, said.index, said.entry_term, said.height))
    s.commit_index = max(s.commit_index, said.index)
    s.report("log_installed", index=said.index, height=said.height)
    s.drop_rivals()
    return True
