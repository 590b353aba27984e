"""How the command line ends and how it lines things up."""

from rich.cells import cell_len

from zizhu.chain.model.errors import AskedWrongly, ErrorCode, OperatingFault
from zizhu.cli.status import too_few
from zizhu.cli.terminal import Terminal, exit_code, labelled, padded
from zizhu.cloud.nodes.network import MemberPlace, Network
from zizhu.framework.sdk.http import told_error

CODE = ErrorCode("test.code", "cause", "fix", "原因", "处理")


def network_of(members: int, engine: str) -> Network:
    """A network that nothing runs of."""
    places = [MemberPlace(name=f"node{n + 1}", p2p_port=1000 + n, http_port=2000 + n) for n in range(members)]
    return Network(1, "zizhu", "00" * 32, "guomi", engine, places)


def test_two_is_for_who_asked_wrongly_only() -> None:
    """2 for a wrong question, 1 for a fault of the machine, and 1 for a failure that a member tells of itself."""
    assert exit_code(AskedWrongly(CODE)) == 2
    assert exit_code(OperatingFault(CODE)) == 1
    assert exit_code(told_error("voucher.unknown", "cause", "fix")) == 2
    assert exit_code(told_error("sdk.not_final", "cause", "fix")) == 1


def test_columns_align_in_both_scripts() -> None:
    """A Chinese character takes two cells, and values begin in the same one."""
    assert cell_len(padded("电子发票", 18)) == cell_len(padded("invoice", 18)) == 18
    plain = [line.replace("[dim]", "").replace("[/]", "") for line in labelled([("状态", "x"), ("height", "x")])]
    assert {cell_len(line) for line in plain} == {len("height") + 2 + 1}


def test_too_few_members_are_said() -> None:
    """Of four, three make blocks and two do not; a silent member does not count; one is enough under solo."""
    speaker = Terminal("en", as_json=False)
    four = network_of(4, "pbft")
    rows: list[dict[str, object]] = [{"state": state} for state in ("voting", "voting", "syncing", "down")]
    assert too_few(rows, four, speaker) == []
    rows[2]["state"] = "silent"
    assert too_few(rows, four, speaker) == ["no new blocks: 2 of 4 members take part, 3 are needed"]
    assert "3" in too_few(rows, four, Terminal("zh", as_json=False))[0]
    assert too_few([{"state": "voting"}], network_of(1, "solo"), speaker) == []
    assert too_few([{"state": "no answer"}], network_of(1, "solo"), speaker) != []
