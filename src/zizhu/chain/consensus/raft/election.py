"""Who leads: election with pre-vote, the lease of a leader that is heard, and the leader's own check of its quorum.

Decides when a member asks for votes and gives its own; one a term, written down before it is given. Source: Ongaro
(2014), sections 3.4, 3.6, 4.2.3, 6.2 and 9.6; docs/protocol/raft.md, rules 1 to 3.
"""

from zizhu.chain.consensus.raft import proposing, replication, terms
from zizhu.chain.consensus.raft.log import LogEntry
from zizhu.chain.consensus.raft.messages import Appended, Ballot, BallotReply, Take, Turned
from zizhu.chain.consensus.raft.state import TERM_AHEAD_MAX, Progress, Role, State
from zizhu.chain.model.ids import MemberId


def fired(s: State) -> None:
    """The election timer ran out: wait for the rest if the leader was heard meanwhile, otherwise ask for votes."""
    if not s.voting:
        return
    if s.leading:
        _check_quorum(s)
        return
    left = s.heard_ms + s.timeout_ms - s.now.monotonic_ms
    if left > 0:
        s.timer(terms.TIMER, left)
        return
    ask(s, pre=True)


def _check_quorum(s: State) -> None:
    """A leader that has not heard from a majority for an election time-out leads nobody (section 6.2)."""
    horizon = s.now.monotonic_ms - terms.least_timeout_ms(s)
    reached = 1 + sum(each.heard_ms >= horizon for each in s.progress.values())
    if reached < s.needed:
        s.report("leader_cut_off", term=s.term, reached=reached)
        terms.follow(s, s.term, None)
    s.timer(terms.TIMER, terms.least_timeout_ms(s))


def ask(s: State, *, pre: bool, called: bool = False) -> None:
    """Ask all for their votes: first whether they would (which changes nothing), then for them; at once for them if the
    leader has called the election."""
    terms.arm(s)
    if (s.log.last_term, s.log.last_index) < s.bar or not s.holds_head():
        # The chain got on without this log: others hold what is committed, and one of them must lead.
        s.leader = None
        return
    s.role, s.leader, s.pre = Role.CANDIDATE, None, pre
    s.ballots = {s.me: True}
    if not pre:
        s.term, s.voted = s.term + 1, s.me
        s.verified = s.log.base_index
        s.incoming.clear()
        s.persist(Turned(s.epoch, s.term, s.me))
        s.report("election", term=s.term)
    if _won(s):
        return
    asked = s.term + 1 if pre else s.term
    s.send(s.others, Ballot(s.epoch, asked, s.log.last_index, s.log.last_term, pre, called))


def _won(s: State) -> bool:
    """Whether a majority is for this member; draws the consequence."""
    if sum(s.ballots.values()) < s.needed:
        return False
    if s.pre:
        ask(s, pre=False)
    else:
        lead(s)
    return True


def receive(s: State, peer: MemberId, said: Ballot) -> None:
    """Give a vote, or say why not: an own newer term."""
    if said.term > s.term + TERM_AHEAD_MAX:
        s.fault(peer, "term_out_of_window", term=said.term)
        return
    if not s.voting:
        return
    if said.term > s.term and terms.has_a_leader(s) and not said.called:
        # Disruptive servers (section 4.2.3): who cannot hear the leader does not unseat it.
        return
    newer = s.log.is_as_new_as(said.last_index, said.last_term) and (said.last_term, said.last_index) >= s.bar
    if said.pre:
        granted = said.term > s.term and newer
        s.send((peer,), BallotReply(s.epoch, said.term if granted else s.term, pre=True, granted=granted))
        return
    if said.term < s.term:
        s.send((peer,), BallotReply(s.epoch, s.term, pre=False, granted=False))
        return
    s.shown[peer] = max(s.shown.get(peer, (0, 0)), (said.term, 0))
    risen = said.term > s.term
    if risen:
        terms.follow(s, said.term, None, write=False)
    granted = newer and s.role is Role.FOLLOWER and s.voted in {None, peer}
    if granted:
        s.voted = peer
        terms.arm(s)
    if granted or risen:
        s.persist(Turned(s.epoch, s.term, s.voted))
    s.send((peer,), BallotReply(s.epoch, s.term, pre=False, granted=granted))


def receive_reply(s: State, peer: MemberId, said: BallotReply) -> None:
    """Count a vote; a newer term ends the candidature."""
    if said.term > s.term + TERM_AHEAD_MAX:
        s.fault(peer, "term_out_of_window", term=said.term)
        return
    if not s.voting:
        return
    if not said.granted:
        if said.term > s.term:
            terms.follow(s, said.term, None)
        return
    asked = s.term + 1 if s.pre else s.term
    if s.role is Role.CANDIDATE and said.pre == s.pre and said.term == asked:
        if not said.pre:
            s.show(peer, 0)
        s.ballots[peer] = True
        _won(s)


def lead(s: State) -> None:
    """Won: begin the term with an empty entry of it, which is what commits its predecessors' (section 3.6.2)."""
    s.role, s.leader = Role.LEADER, s.me
    s.ballots.clear()
    s.incoming.clear()
    s.collected.clear()
    start = s.log.last_index + 1
    # Certificates of the last window may have been lost with the old leader: they are sent once more.
    told = s.head.height - s.voters.record.parameters.window
    s.progress = {peer: Progress(start, heard_ms=s.now.monotonic_ms, told_height=told) for peer in s.others}
    s.report("leading", term=s.term, index=s.log.last_index)
    s.drop_rivals()
    if s.log.last_index:
        s.log.append(LogEntry(s.term, s.log.last_height, None))
        s.persist(Appended(s.epoch, s.log.last_index, s.term, s.log.last_height, None))
    s.timer(terms.TIMER, terms.least_timeout_ms(s))
    s.timer("heartbeat", replication.heartbeat_ms(s))
    proposing.arm_idle_timer(s)
    for endorsement in s.signatures.values():
        s.collected.setdefault(endorsement.height, {})[s.me] = endorsement
    replication.tell_all(s, force=True)


def leave(s: State) -> None:
    """A leader that stops in good order names its successor: of the members that it has heard of late and has sent its
    whole log, the one that holds most of it (section 3.10). Without one the others elect whom they elect."""
    if not s.leading:
        return
    horizon = s.now.monotonic_ms - terms.least_timeout_ms(s)
    able = [
        (progress.match, peer)
        for peer, progress in s.progress.items()
        if progress.next > s.log.last_index and progress.heard_ms >= horizon
    ]
    if able:
        _, successor = max(able)
        s.report("lead_handed_over", term=s.term, to=successor.hex())
        s.send((successor,), Take(s.epoch, s.term))
    terms.follow(s, s.term, None)


def take(s: State, peer: MemberId, said: Take) -> None:
    """The leader of this member's term leaves it the lead."""
    if s.voting and s.leader == peer and said.term == s.term:
        s.taking = s.term
        take_when_whole(s)


def take_when_whole(s: State) -> None:
    """Call the election once everything that the leader sent in front of its last word is in the log."""
    if s.taking == s.term and s.role is Role.FOLLOWER and not s.incoming:
        s.taking = 0
        ask(s, pre=False, called=True)
