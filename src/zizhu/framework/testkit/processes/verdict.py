"""What must be true of a consortium that was disturbed under load, whatever disturbed it.

Decides how acknowledgements, the blocks of every member and the register's counts are held against each other. Refuses
to know the disturbance.
"""

from zizhu.framework.testkit.history import History, notes_of
from zizhu.framework.testkit.processes.consortium import Consortium
from zizhu.framework.testkit.processes.ledger import COUNT, REGISTER
from zizhu.framework.testkit.processes.load import Load
from zizhu.framework.testkit.processes.member import MemberProcess


def checked(consortium: Consortium, load: Load, history: History) -> None:
    """What is acknowledged so far is on every member, once. Raises AssertionError."""
    acknowledged = load.acknowledged()
    history.extend(consortium.members, min(member.height for member in consortium.members))
    assert history.check(acknowledged) > 0


def settled(consortium: Consortium, load: Load, history: History) -> None:
    """The load ends; all members come to one outcome, and the register counted what the clients counted.

    Raises AssertionError.
    """
    acknowledged = load.stop()
    status = consortium.equal()
    history.extend(consortium.members, int(str(status["height"])))
    assert history.check(acknowledged) == len(acknowledged) > 0
    for name, count in notes_of(acknowledged).items():
        for member in consortium.members:
            assert noted(member, name) == count, f"{name} at {member.name}"


def noted(member: MemberProcess, name: str) -> object:
    """How many notes the register holds under a name, as one member says."""
    asked = {"contract": REGISTER, "method": COUNT, "arguments": [name]}
    found = member.ask("POST", "/api/v1/query", asked, timeout_s=20.0)
    assert found is not None
    return found["value_json"]
