"""What a contract may write, emit, read and return: at each maximum it passes, one above its transaction fails."""

import pytest

from zizhu.chain.ledger.host import SCAN_MAX
from zizhu.chain.model import limits
from zizhu.chain.model.receipt import Receipt
from zizhu.chain.model.value import Value, encode_value
from zizhu.framework.testkit.fakes.ledger import ACCOUNTS, Chain

RESULT_HEAD_BYTES = len(encode_value(bytes(limits.RECEIPT_RESULT_BYTES_MAX - 5))) - (
    limits.RECEIPT_RESULT_BYTES_MAX - 5
)


def _outcome(method: str, arguments: list[Value]) -> Receipt:
    chain = Chain()
    call = chain.call(ACCOUNTS[0], 1, method, *arguments, steps_max=1_000_000)
    (receipt,) = chain.commit(call).executed.receipts
    return receipt


@pytest.mark.parametrize(
    ("method", "at_most", "above", "code"),
    [
        (
            "put",
            [bytes(limits.STATE_KEY_BYTES_MAX), b"v"],
            [bytes(limits.STATE_KEY_BYTES_MAX + 1), b"v"],
            "contract.key_too_long",
        ),
        (
            "put",
            [b"k", bytes(limits.STATE_VALUE_BYTES_MAX)],
            [b"k", bytes(limits.STATE_VALUE_BYTES_MAX + 1)],
            "contract.value_too_long",
        ),
        (
            "emit",
            ["e", bytes(limits.EVENT_BYTES_MAX)],
            ["e", bytes(limits.EVENT_BYTES_MAX + 1)],
            "contract.event_too_long",
        ),
        (
            "emit",
            ["é" * (limits.NAME_BYTES_MAX // 2), b""],
            ["é" * (limits.NAME_BYTES_MAX // 2) + "e", b""],
            "contract.event_name",
        ),
        ("scan", [b"", None, SCAN_MAX], [b"", None, SCAN_MAX + 1], "contract.scan_limit"),
        (
            "echo",
            [bytes(limits.RECEIPT_RESULT_BYTES_MAX - RESULT_HEAD_BYTES)],
            [bytes(limits.RECEIPT_RESULT_BYTES_MAX - RESULT_HEAD_BYTES + 1)],
            "contract.result",
        ),
    ],
    ids=["key", "value", "event", "event-name", "scan", "result"],
)
def test_each_limit_of_the_host_is_where_it_says(
    method: str, at_most: list[Value], above: list[Value], code: str
) -> None:
    """The longest key, value, event, event name, scan and result pass; one more is a failed transaction with its code."""
    assert _outcome(method, at_most).code == ""
    assert _outcome(method, above).code == code


def test_the_longest_key_and_value_can_be_read_again() -> None:
    """What stands at the limits comes back whole in a later block."""
    chain = Chain()
    key, value = b"k" * limits.STATE_KEY_BYTES_MAX, b"v" * (limits.RECEIPT_RESULT_BYTES_MAX - RESULT_HEAD_BYTES)
    chain.commit(chain.call(ACCOUNTS[0], 1, "put", key, value, steps_max=1_000_000))
    (receipt,) = chain.commit(chain.call(ACCOUNTS[0], 2, "get", key, steps_max=1_000_000)).executed.receipts
    assert receipt.result == encode_value(value)
