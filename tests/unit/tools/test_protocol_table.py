"""The protocol's index names every message and every record that the code has, and nothing else."""

import pytest

import protocol_table


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
    """Greeting, engine and network messages travel in one union, told apart by their tags alone."""
    wire = [each for each in protocol_table.declared() if each.source.endswith(("messages.py", "wire.py"))]
    messages = [each for each in wire if not (each.source.startswith("consensus/pbft") and each.tag < 10)]
    assert len({each.tag for each in messages}) == len(messages)
    assert len(messages) == 16
