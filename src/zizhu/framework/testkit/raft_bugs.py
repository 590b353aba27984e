"""Bugs of Raft on purpose: patches of our own source that the checkers must find. See `bugs`."""

from zizhu.framework.testkit.bugs import Bug, Patch

RAFT = "zizhu.chain.consensus.raft."

RAFT_BUGS: tuple[Bug, ...] = (
    Bug(
        "an entry of an older term is committed by counting",
        "P-5",
        (
            Patch(
                RAFT + "replication",
                "advance_commit",
                "if index > s.commit_index and s.log.term_at(index) == s.term:",
                "if index > s.commit_index:",
            ),
        ),
        schedule="P-5",
        check="signed only when committed",
    ),
    Bug(
        "two votes in one term",
        "",
        (
            Patch(
                RAFT + "election",
                "receive",
                "granted = newer and s.role is Role.FOLLOWER and s.voted in {None, peer}",
                "granted = newer",
            ),
        ),
        kind="small-raft",
        seed=25,
        check="no double vote",
    ),
    Bug(
        "a vote is given before it is durable",
        "",
        (Patch(RAFT + "election", "receive", "s.persist(Turned(s.epoch, s.term, s.voted))", "pass"),),
        kind="small-raft",
        seed=0,
        check="nothing undurable leaves",
    ),
    Bug(
        "an entry is acknowledged before it is durable",
        "B-1",
        (Patch(RAFT + "following", "drain", "s.persist(*records)", "pass"),),
        kind="small-raft",
        seed=0,
        check="nothing undurable leaves",
    ),
    Bug(
        "an entry whose block was lost in a loss of power is acknowledged",
        "B-2",
        (Patch(RAFT + "memory", "restore", "_cut_what_is_not_held(s)", "pass"),),
        kind="small-raft",
        seed=27,
        check="nothing undurable leaves",
    ),
    Bug(
        "what is only acknowledged is signed",
        "",
        (
            Patch(
                RAFT + "following",
                "advance",
                "index = min(s.leader_commit, s.verified, s.log.last_index)",
                "index = s.log.last_index",
            ),
        ),
        kind="small-raft",
        seed=0,
        check="signed only when committed",
    ),
    Bug(
        "a leader commits with one member too few",
        "",
        (Patch(RAFT + "replication", "advance_commit", "matches[s.needed - 1]", "matches[s.needed - 2]"),),
        kind="small-raft",
        seed=1,
        check="signed only when committed",
    ),
    Bug(
        "a candidate wins whatever its log",
        "",
        (
            Patch(
                RAFT + "log",
                "RaftLog.is_as_new_as",
                "return (term, index) >= (self.last_term, self.last_index)",
                "return True",
            ),
        ),
        kind="small-raft",
        seed=45,
        check="agreement",
    ),
    Bug(
        "a tail of an earlier term is acknowledged to the new leader",
        "",
        (
            Patch(
                RAFT + "following",
                "acknowledge",
                "match = min(s.verified, s.log.last_index)",
                "match = s.log.last_index",
            ),
        ),
        kind="small-raft",
        seed=15,
        check="log matching",
    ),
    Bug(
        "certificates carry the term",
        "",
        (
            Patch(
                RAFT + "endorsing",
                "certify",
                "COMMIT, s.epoch, VIEW, height",
                "COMMIT, s.epoch, s.term, height",
            ),
            Patch(RAFT + "endorsing", "certify", "verify_certificate(made, s.voters, known=good)", "pass"),
        ),
        kind="small-raft",
        seed=0,
        check="every certificate is valid",
    ),
    Bug(
        "a leader of an older term is followed",
        "",
        (
            Patch(RAFT + "following", "_accepts", "if term < s.term:", "if False:"),
            Patch(RAFT + "terms", "follow", "assert term >= s.term", "s.term = min(s.term, term)"),
        ),
        kind="small-raft",
        seed=7,
        check="a term ends those below it",
    ),
)
