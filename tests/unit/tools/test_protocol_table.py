"""The protocol's index names every message and every record that the code has, and nothing else."""

from typing import get_args

import pytest

import protocol_table
from zizhu.chain.consensus.pbft import messages as pbft
from zizhu.chain.consensus.raft import messages as raft
from zizhu.chain.network import messages as network
from zizhu.chain.network.wire import Wire


@pytest.mark.parametrize("page", protocol_table.PAGES)
def test_the_index_names_every_message_and_record(page: str) -> None:
    """Name, tag and source file of each tagged structure stand in the tables, in both languages."""
    text = (protocol_table.ROOT / page).read_text(encoding="utf-8")
    assert protocol_table.problems(page, text) == []


def test_a_missing_and_an_invented_row_are_named() -> None:
    """A table that lost a message, or tells of one that is gone, does not pass."""
    structures = protocol_table.declared()
    lines = [f"| `{each.name}` | {each.tag} | x | `{each.source}` |" for each in structures[1:]]
    lines.append("| `Rumour` | 99 | x | `network/messages.py` |")
    found = protocol_table.problems("page", "\n".join(lines))
    assert found == [
        f"page: no row for {structures[0].name}, tag {structures[0].tag}, {structures[0].source}",
        "page: Rumour, tag 99, network/messages.py is not in the code",
    ]


def test_no_two_messages_of_the_wire_share_a_tag() -> None:
    """Greeting, engine and network messages travel in one union, told apart by their tags alone; so do the messages of
    several engines, and the records of their vote logs."""
    spoken = (*pbft.MESSAGES, *raft.MESSAGES, *network.MESSAGES)
    assert Wire(spoken).messages == spoken
    declared = [each for each in protocol_table.declared() if each.source.startswith("consensus/")]
    tags = [each.tag for each in declared if "solo" not in each.source]
    records = [*get_args(pbft.VoteRecord), *get_args(raft.RaftRecord)]
    assert len({each.__struct_config__.tag for each in records}) == len(records)
    assert len(tags) == len(pbft.MESSAGES) + len(raft.MESSAGES) + len(records)
