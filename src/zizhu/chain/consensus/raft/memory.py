"""What a member remembers: its log, term, vote and signatures, restored and checked against what its peers saw.

Decides whether this key may vote, acknowledge and sign. Source: docs/protocol/raft.md, rules 11 and 12.
"""

from typing import assert_never

from zizhu.chain.consensus.raft import election, endorsing, terms
from zizhu.chain.consensus.raft.log import LogEntry
from zizhu.chain.consensus.raft.messages import (
    Appended,
    Barred,
    Endorsed,
    Endorsement,
    Forgotten,
    Installed,
    RaftMemoryAnswer,
    RaftMemoryQuery,
    RaftOpened,
    RaftRecord,
    Turned,
    record_codec,
)
from zizhu.chain.consensus.raft.state import LOG_KEPT, TERM_AHEAD_MAX, State
from zizhu.chain.model.encoding import encode
from zizhu.chain.model.ids import BlockHash, MemberId, OutcomeHash

QUERY_EVERY_MS = 200
ASKED_ALL = 4
"""So many times the first leader of an epoch asks all others before it does without some."""


def restore(s: State) -> None:
    """Replay the vote log into the state; nothing is sent."""
    for data in s.setting.votes:
        record: RaftRecord = record_codec.decode(data)
        match record:
            case RaftOpened():
                s.opened = True
            case Forgotten():
                s.lost = record.reason
            case _ if record.epoch != s.epoch:
                pass
            case Turned():
                s.term = record.term
                s.voted = None if record.voted is None else MemberId(record.voted)
            case Appended():
                _replay(s, record)
            case Installed():
                s.log.start_behind(record.index, record.term, record.height)
            case Barred():
                s.bar = record.term, record.index
            case Endorsed():
                s.endorsed[record.height] = (BlockHash(record.block), OutcomeHash(record.outcome))
                s.endorsed_up_to = max(s.endorsed_up_to, record.height)
            case _:
                assert_never(record)
    if s.setting.disk_was_used and not s.opened:
        s.lost = "vote_log_missing"
    _cut_what_is_not_held(s)
    _find_commit_index(s)
    for certificate in s.setting.recent:
        endorsing.remember(s, certificate)


def _replay(s: State, record: Appended) -> None:
    """An entry of the vote log. One that stands there already was written again when the log was shortened, perhaps not
    with all that follow: it cuts nothing off."""
    block = None if record.block is None else BlockHash(record.block)
    entry = LogEntry(record.term, record.height, block)
    if s.log.at(record.index) == entry:
        return
    if record.index <= s.log.last_index:
        s.log.cut(record.index)
    s.log.append(entry)


def _cut_what_is_not_held(s: State) -> None:
    """An entry whose block is not here was never whole on this disk (two files, of which a loss of power may spare
    either), so it was acknowledged to nobody: the log ends below it. Except where certified blocks have overtaken the
    log: what continued their rivals is not executed any more, may have been acknowledged, and matters to nobody."""
    for index in range(s.log.base_index + 1, s.log.last_index + 1):
        entry = s.log.at(index)
        assert entry is not None
        if entry.block is not None and entry.height > s.head.height and entry.block not in s.known:
            if not s.holds_head():
                s.overtaken_up_to = s.log.last_index
            s.log.cut(index)
            return


def _find_commit_index(s: State) -> None:
    """What is certified or endorsed was committed; the log keeps no more of it than a running member would."""
    s.commit_index = s.log.base_index
    pairs = [(s.head.height, s.head.block), *((height, pair[0]) for height, pair in sorted(s.endorsed.items()))]
    for height, block in pairs:
        index = s.log.index_of(height, block)
        if index is not None:
            s.commit_index = max(s.commit_index, index)
    head = s.log.index_of(s.head.height, s.head.block)
    if head is not None and head - s.log.base_index > LOG_KEPT:
        s.log.forget_up_to(head - LOG_KEPT)
    s.endorsed = {height: pair for height, pair in s.endorsed.items() if height > s.head.height}


def remembered(s: State) -> tuple[bytes, ...]:
    """What of the vote log still matters: the term and vote, the log, and what was endorsed near the head."""
    kept: dict[str, bytes] = {}
    endorsed: list[bytes] = []
    for data in s.setting.votes:
        record = record_codec.decode(data)
        match record:
            case RaftOpened():
                kept.setdefault("opened", data)
            case Turned() | Forgotten() | Barred():
                kept[type(record).__name__] = data
            case Endorsed():
                if record.height > s.head.height - LOG_KEPT or record.height == s.endorsed_up_to:
                    endorsed.append(data)
            case Appended() | Installed():
                pass
            case _:
                assert_never(record)
    log = s.log
    records: list[RaftRecord] = [Installed(s.epoch, log.base_index, log.base_term, log.base_height)]
    if not log.base_index:
        records.clear()
    for index in range(log.base_index + 1, log.last_index + 1):
        entry = log.at(index)
        assert entry is not None
        records.append(Appended(s.epoch, index, entry.term, entry.height, entry.block))
    return (*kept.values(), *(encode(record) for record in records), *dict.fromkeys(endorsed))


def begin(s: State) -> None:
    """First step of a running member: open the vote log, ask the peers what they saw of it."""
    if not s.opened:
        s.opened = True
        # The loss first: a torn log that is open and does not say that it was missing would look whole next time.
        s.persist(*((Forgotten(s.lost),) if s.lost else ()), RaftOpened(s.voters.ledger))
    if s.lost:
        s.recalling = False
        s.report("memory_lost", reason=s.lost)
        return
    own = s.newest.get(s.me)
    if own is not None and own.height > s.endorsed_up_to:
        # The certificates of its own blocks: the vote log is older than they are.
        lose(s, "newer_vote_shown")
        return
    if s.needed == 1:
        recalled(s)
        return
    ask(s)


def ask(s: State) -> None:
    """Ask those that have not answered, again and again until enough have; a barred member goes on asking all."""
    if s.lost or not (s.recalling or _is_barred(s)):
        return
    silent = tuple(member for member in s.others if member not in s.recalled)
    s.send(silent if s.recalling else s.others, RaftMemoryQuery(s.epoch))
    s.timer("recall", QUERY_EVERY_MS)
    if s.recalling:
        s.asked += 1
        _enough(s)


def answer(s: State, peer: MemberId) -> None:
    """Tell a peer what it has shown this member of itself."""
    term, index = s.shown.get(peer, (0, 0))
    ends = s.log.last_term, s.log.last_index
    s.send((peer,), RaftMemoryAnswer(s.epoch, s.newest.get(peer), term, index, *ends, s.term))


def receive(s: State, peer: MemberId, said: RaftMemoryAnswer) -> None:
    """Compare what a peer saw with the vote log. An endorsement counts only if this member's own key signed it."""
    if s.lost:
        return
    if not s.recalling:
        if _is_barred(s):
            s.recalled[peer] = (said.last_term, said.last_index)
            _set_bar(s, min(s.bar, _told(s)))
        return
    if said.current > s.term + TERM_AHEAD_MAX:
        s.fault(peer, "term_out_of_window", term=said.current)
        return
    if said.endorsement is not None:
        if not _is_ours(s, said.endorsement):
            s.fault(peer, "memory_endorsement")
            return
        pair = endorsing.pair_of(said.endorsement)
        newer = said.endorsement.height > s.endorsed_up_to
        if newer or s.endorsed.get(said.endorsement.height, pair) != pair:
            lose(s, "newer_vote_shown")
            return
    reached = max(s.log.last_index, s.overtaken_up_to)
    if said.term > s.term or (said.term == s.term and said.index > reached):
        lose(s, "newer_term_shown" if said.term > s.term else "longer_log_shown")
        return
    s.recalled[peer] = (said.last_term, said.last_index)
    s.told_term = max(s.told_term, said.current)
    _enough(s)


def _enough(s: State) -> None:
    """Whether enough have answered. An empty log is that of a first start, or of a lost disk: enough are then so many
    that one of them holds what this member may have acknowledged; and the first leader of the epoch waits a while for
    all, because it leads its first term unasked."""
    if s.log.last_index:
        wanted = s.needed - 1
    elif s.me == s.first_leader() and s.asked <= ASKED_ALL:
        wanted = len(s.others)
    else:
        wanted = _covering(s)
    if len(s.recalled) >= wanted:
        recalled(s)


def _covering(s: State) -> int:
    """n - majority + 1: of so many others one holds whatever this member and others have committed between them."""
    return len(s.others) + 2 - s.needed


def _told(s: State) -> tuple[int, int]:
    """The least end of a log that covers what this member may have acknowledged: the greatest of the n - majority + 1
    oldest ends that it was told of. What a single member holds alone was not acknowledged by a majority."""
    ends = sorted(s.recalled.values())
    return max(ends[: _covering(s)], default=(0, 0)) if len(ends) >= _covering(s) else max(ends, default=(0, 0))


def _is_barred(s: State) -> bool:
    """Whether the own log is not as new as the one that this member may have forgotten."""
    return s.bar > (s.log.last_term, s.log.last_index)


def _set_bar(s: State, bar: tuple[int, int]) -> None:
    if bar != s.bar:
        s.bar = bar
        s.persist(Barred(s.epoch, *bar))


def _is_ours(s: State, endorsement: Endorsement) -> bool:
    message = endorsing.message_of(s, endorsement.height, endorsing.pair_of(endorsement))
    return s.voters.suite.members.verify(s.voters.keys[s.me], message, endorsement.signature)


def lose(s: State, reason: str) -> None:
    """This key never votes again; written down, so that no later start forgets it."""
    s.lost, s.recalling = reason, False
    s.persist(Forgotten(reason))
    s.report("memory_lost", reason=reason)


def recalled(s: State) -> None:
    """Enough peers have answered: take part. The first term of an epoch has its leader without an election."""
    s.recalling = False
    # Whom it heard meanwhile may lead a term that this member is not in.
    s.leader = None
    if not s.log.last_index:
        _set_bar(s, _told(s))
    s.timer("recall", QUERY_EVERY_MS if _is_barred(s) else None)
    s.report("memory_confirmed", term=s.term)
    if not s.term:
        _begin_first_term(s)
    if not s.leading:
        terms.arm(s)
        endorsing.endorse_committed(s)


def _begin_first_term(s: State) -> None:
    """Without a vote log: be in term 1, or in the newest term that was told of. In that one a vote may have been given
    and forgotten with the disk: no other is given."""
    if s.told_term > 1:
        s.term, s.voted = s.told_term, s.me
        s.persist(Turned(s.epoch, s.term, s.voted))
        return
    s.term, s.voted = 1, s.first_leader()
    s.persist(Turned(s.epoch, 1, s.voted))
    if s.voted != s.me:
        s.leader = s.voted
    elif len(s.recalled) == len(s.others) and not any(index for _, index in s.recalled.values()):
        election.lead(s)
