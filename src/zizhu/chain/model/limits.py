"""The maxima of everything that comes from outside. Each has a test that reaches it.

Those that a ledger may lower or raise stand in `epoch.Parameters`; these are the walls around them.
"""

TRANSACTION_BYTES_MAX = 4 * 1024 * 1024
"""Wall of one transaction body, bytes (a ledger's parameter may be lower)."""
BLOCK_BYTES_MAX = 32 * 1024 * 1024
"""Wall of one encoded block, bytes."""
MESSAGE_BYTES_MAX = 40 * 1024 * 1024
"""Longest frame between members, bytes; checked before a byte of it is buffered."""
BUNDLE_COUNT_MAX = 1024
"""Transactions under one bundle signature."""
BLOCK_TRANSACTIONS_MAX = 16_384
"""Transactions in a block."""
MEMBERS_MAX = 128
"""Voting members of an epoch."""
NONCE_MAP = 1024
"""Nonces below the highest used one that an account record remembers."""
NONCE_AHEAD_MAX = 1 << 20
"""How far above the highest used nonce a new one may be."""
NUMBER_MAX = (1 << 53) - 1
"""Largest height, view, epoch, time or count in any message (exact in JSON too)."""
NAME_BYTES_MAX = 64
"""Names of members, organisations, contracts, methods, events."""
RECEIPT_RESULT_BYTES_MAX = 64 * 1024
"""Returned value of a contract call, encoded."""
EVENTS_PER_TRANSACTION_MAX = 256
EVENT_BYTES_MAX = 64 * 1024
STATE_KEY_BYTES_MAX = 512
STATE_VALUE_BYTES_MAX = 1024 * 1024
GENESIS_BYTES_MAX = 16 * 1024 * 1024
