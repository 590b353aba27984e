"""The leader's side of the log: what is sent to whom, what the answers mean, and what is committed by them.

Decides how far ahead of its answers a leader sends (flow control), how it finds where two logs meet, and when a
member lags so far that it is sent to the certified chain instead. Source: Ongaro (2014), sections 3.5, 3.6.2, 5.3
and 10.2.1; docs/protocol/raft.md, rules 4 to 6.
"""

from zizhu.chain.consensus.raft import endorsing, terms
from zizhu.chain.consensus.raft.log import LogEntry
from zizhu.chain.consensus.raft.messages import (
    CERTIFICATES_MAX,
    ENTRIES_MAX,
    Append,
    AppendReply,
    Entry,
    Install,
)
from zizhu.chain.consensus.raft.state import TERM_AHEAD_MAX, Progress, State
from zizhu.chain.model.ids import MemberId

AHEAD_MAX = 128
"""Entries that are sent to one follower ahead of its answers."""
NAMES_MAX = 20_000
"""Transactions named in one append, about 1.5 MB: after so many it ends, whatever is left."""
HEARTBEATS = 5
"""Heartbeats in the shortest election time-out."""


def heartbeat_ms(s: State) -> int:
    """How often a leader says that it is there."""
    return max(10, terms.least_timeout_ms(s) // HEARTBEATS)


def heartbeat(s: State) -> None:
    """Say so to all; it also brings what was lost on the way."""
    if s.leading:
        s.timer("heartbeat", heartbeat_ms(s))
        tell_all(s, force=True)


def tell_all(s: State, *, force: bool = False) -> None:
    """Send each follower what is new to it; with `force` also when nothing is."""
    for peer in s.others:
        tell(s, peer, force=force)


def tell(s: State, peer: MemberId, *, force: bool = False) -> None:
    """Send one follower what is new to it: entries, the commit index, certificates."""
    progress = s.progress[peer]
    if progress.next <= s.log.base_index:
        if force:
            _install(s, peer)
        return
    entries = _entries_for(s, progress)
    certificates = [s.certificates[height] for height in sorted(s.certificates)
                    if progress.told_height < height <= s.head.height][-CERTIFICATES_MAX:]  # fmt: skip
    news = entries or certificates or s.commit_index > progress.told_commit
    if not (news or force):
        return
    previous = progress.next - 1
    term = s.log.term_at(previous)
    assert term is not None, "what is sent continues the log"
    s.send((peer,), Append(s.epoch, s.term, previous, term, entries, s.commit_index, s.head.height, certificates))
    progress.told_commit, progress.told_height = s.commit_index, s.head.height
    progress.asked = True
    if entries and not progress.probing:
        progress.next += len(entries)


def _entries_for(s: State, progress: Progress) -> list[Entry]:
    """The next entries that may be sent now."""
    if progress.asked if progress.probing else progress.next - progress.match > AHEAD_MAX:
        return []
    found: list[Entry] = []
    names = 0
    for index in range(progress.next, min(progress.next + ENTRIES_MAX, s.log.last_index + 1)):
        held = s.log.at(index)
        assert held is not None
        found.append(entry_of(s, held))
        names += len(found[-1].entries)
        if names >= NAMES_MAX:
            break
    return found


def entry_of(s: State, held: LogEntry) -> Entry:
    """An entry as it is sent: with what names the block's transactions while that is remembered."""
    executed = None if held.block is None else s.known.get(held.block)
    if executed is None:
        return Entry(held.term, held.height, held.block, None, [])
    return Entry(held.term, held.height, held.block, executed.header, list(executed.entries))


def _install(s: State, peer: MemberId) -> None:
    """The follower lacks what this log has let go of: it fetches the certified chain, and goes on from there."""
    base = s.log
    s.send((peer,), Install(s.epoch, s.term, base.base_index, base.base_term, base.base_height))


def receive_reply(s: State, peer: MemberId, said: AppendReply) -> None:
    """A follower's answer: where its log agrees, or where it may."""
    if said.term > s.term + TERM_AHEAD_MAX:
        s.fault(peer, "term_out_of_window", term=said.term)
        return
    if said.term > s.term:
        if s.voting:
            terms.follow(s, said.term, None)
        return
    if said.term < s.term or not s.leading:
        return
    progress = s.progress[peer]
    progress.heard_ms = s.now.monotonic_ms
    if said.match > s.log.last_index:
        s.fault(peer, "match_out_of_log", match=said.match)
        return
    if said.agreed:
        _agreed(s, peer, progress, said.match)
    else:
        _refused(s, progress, said)
    endorsing.collect(s, peer, said.endorsements)


def _agreed(s: State, peer: MemberId, progress: Progress, match: int) -> None:
    """Everything up to `match` is durable there, and the logs meet at what was sent."""
    s.show(peer, match)
    progress.probing, progress.asked = False, False
    progress.next = max(progress.next, match + 1)
    progress.match = max(progress.match, match)


def _refused(s: State, progress: Progress, said: AppendReply) -> None:
    """The logs part somewhere below: go on from the last index whose terms may agree (section 3.5)."""
    if said.match < progress.match:
        return
    meets = s.log.last_of_term(min(said.match, progress.next - 1), said.match_term)
    progress.next = max(progress.match, meets) + 1
    progress.probing, progress.asked = True, False


def advance_commit(s: State) -> None:
    """The commit index: the greatest index on a majority, if its entry is of this term (section 3.6.2, figure 8)."""
    matches = sorted([s.log.last_index, *(each.match for each in s.progress.values())], reverse=True)
    index = matches[s.needed - 1]
    if index > s.commit_index and s.log.term_at(index) == s.term:
        s.commit_index = index
        endorsing.endorse_committed(s)
