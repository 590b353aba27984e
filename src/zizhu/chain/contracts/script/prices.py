"""What everything costs, and every limit of the language: one table.

Decides prices in steps and limits. Refuses to know how anything is done. One step is meant to be about 0.1 µs
of one core; a price is never lower than the time (`contracts/script` is benched against this table), so where
time varies the worst case is priced. Prices are part of the protocol: changing one changes outcomes.
"""

# Static: one node of the syntax tree, charged when the block it stands in begins.
STATEMENT = 1
NAME = 1
CONSTANT = 1
OPERATION = 2
ITEM = 1
"""One element of a literal list, one part of an f-string; two for an entry of a dict."""
CALL_BUILTIN = 4
CALL_FUNCTION = 12
ITERATION = 3
"""One round of a loop or comprehension, besides its body."""

# Dynamic: by size, charged before the work is done.
COPY_SHIFT = 6
"""Copying, comparing or hashing text and bytes: one step for each 64 characters or bytes."""
SCAN_SHIFT = 4
"""Looking for something in text or bytes, converting it: one step for each 16."""
PATTERN_MAX = 100
"""Patterns up to this length are searched in quadratic time by CPython; above it is linear."""
ITEMS_SHIFT = 2
"""Copying or visiting the elements of a list or dict in one operation: one step for each 4."""
SHIFTED_SHIFT = 6
"""Moving the rest of a list in `insert` and `pop`: one step for each 64 elements."""
EQUAL_ITEM = 4
"""Comparing one pair of elements."""
VISIT = 12
"""Going into one list or dict inside others, besides its elements."""
SORT_COMPARISON = 1
"""One comparison of `sorted`, besides the size of what is compared."""
CODEC_SHIFT = 3
"""Converting text and bytes: one step for each 8."""
CODEC_PART = 1
"""Encoding lists and dicts: for each byte, since a part may be one byte. Decoding makes objects: twice that."""
NUMBER_TEXT = 8
"""An int to text or back."""

# Host functions: a fixed price, and one for what goes in and out.
CALL = 20
"""One call from outside, besides its arguments."""
HOST_LOOK = 2
"""caller, origin, contract_id, transaction_id, height, time_ms."""
HOST_GET = 60
HOST_PUT = 100
HOST_DELETE = 80
HOST_SCAN = 100
HOST_SCAN_ENTRY = 30
HOST_EMIT = 60
HOST_VERIFY = 3_000
HOST_HASH = 15
HASH_SHIFT = 4

# Memory, bytes; counted when allocated and never given back, so garbage counts too.
MEMORY_MAX = 64 * 1024 * 1024
"""What one call may allocate."""
CONTAINER_BYTES = 64
SLOT_BYTES = 48
"""One element of a list, with the int it may hold."""
DECODED_BYTES = 32
"""What a byte of an encoded list or dict may become."""
ENTRY_BYTES = 128
"""One entry of a dict."""

# Limits while running.
CALL_DEPTH_MAX = 64
"""Functions of the contract inside each other."""
DATA_DEPTH_MAX = 32
"""Lists and dicts inside each other, where an operation goes through all of them."""
FRAMES_PER_CALL = 100
"""Python frames that one call of a contract's function takes at most; bounded by the static limits."""
RECURSION_LIMIT = CALL_DEPTH_MAX * FRAMES_PER_CALL + 2_000
"""What the process must allow so that the contract's own limit is always met first."""
TEXT_MAX = 500
"""Characters of a failure's text that are kept for the developer."""

# Static limits, all checked before anything is compiled.
SOURCE_BYTES_MAX = 128 * 1024
LINE_TOKENS_MAX = 2_000
"""Tokens of one logical line."""
ELIF_MAX = 500
BRACKETS_MAX = 32
NODES_MAX = 30_000
FUNCTIONS_MAX = 256
CONSTANTS_MAX = 256
PARAMETERS_MAX = 16
LOCALS_MAX = 128
"""Variables of one function, those of comprehensions included."""
NAME_CHARACTERS_MAX = 64
BLOCKS_MAX = 10
"""Statements inside each other."""
EXPRESSION_DEPTH_MAX = 24
ARMS_MAX = 64
"""Branches of one if/elif/else."""
FIELD_CHARACTERS_MAX = 200
"""One {field} of an f-string."""
