"""What OpenAPI says of the endpoints about the chain.

Decides words only. Refuses to know handlers.
"""

from zizhu.chain.node.api.bodies import BYTES, JSON
from zizhu.chain.node.api.site import Documents, Parameter

_NOT_THERE = {"http.unknown": 404}
_LIMIT = Parameter("limit", "query", "At most so many, from 1 to 100", "integer")
_ID = Parameter("id", "path", "Transaction id, 64 hex digits")

SUBMIT = Documents(
    summary=(
        "Hand in signed submissions: a MessagePack array of byte strings, or JSON with hex. "
        "One outcome each, in order; accepted is not final"
    ),
    request_media=(BYTES, JSON),
    status=202,
    errors=(400, 408, 413, 415, 429),
)
TRANSACTIONS = Documents(
    summary="The newest transactions, newest first",
    parameters=(_LIMIT, Parameter("before", "query", "The `next` of another page")),
)
TRANSACTION = Documents(
    summary="Where a transaction stands",
    parameters=(_ID, Parameter("wait_ms", "query", "Wait so long for it to be final, at most 30000", "integer")),
    errors=(400, 429),
)
RECEIPT = Documents(
    summary="The receipt of a final transaction", parameters=(_ID,), errors=(400, 404), statuses=_NOT_THERE
)
BLOCKS = Documents(
    summary="The newest blocks, newest first",
    parameters=(Parameter("from", "query", "Begin at this height", "integer"), _LIMIT),
)
BLOCK = Documents(
    summary="A block with its outcome, certificate and transactions",
    parameters=(
        Parameter("block", "path", "Height, or hash as 64 hex digits"),
        Parameter("offset", "query", "Begin with the transaction of this number, from 0", "integer"),
        _LIMIT,
    ),
    errors=(400, 404),
    statuses=_NOT_THERE,
)
QUERY = Documents(
    summary="Call a read-only method of a contract on the committed state",
    errors=(400, 404, 408, 413, 415, 429),
    statuses=_NOT_THERE,
)
ACCOUNT = Documents(
    summary="The nonces of an account",
    parameters=(Parameter("id", "path", "Account id, 40 hex digits"),),
    errors=(400, 429),
)
CONTRACT = Documents(
    summary="A contract",
    parameters=(Parameter("contract", "path", "Name, or id as 40 hex digits"),),
    errors=(400, 404, 429),
    statuses=_NOT_THERE,
)
