"""How a running contract fails: one exception, and the stable codes that reach receipts.

Decides the codes. Refuses to know who raises them. Texts are for the developer and never leave `CallResult.text`.
"""

from typing import Final

TYPE: Final = "contract.type"
"""An operation got a value of a type it does not take."""
OVERFLOW: Final = "contract.overflow"
"""An int of more than 256 bits would result."""
ARITHMETIC: Final = "contract.arithmetic"
"""Division by zero, a negative exponent or shift."""
INDEX: Final = "contract.index"
"""A position outside of a list, text or bytes, or a slice with step 0."""
KEY: Final = "contract.key"
"""A dict has no such key."""
UNBOUND: Final = "contract.unbound"
"""A variable is read before it is assigned."""
DEPTH: Final = "contract.depth"
"""Calls, or lists inside lists, are nested too deep."""
MEMORY: Final = "contract.memory"
"""The call has allocated more than `prices.MEMORY_MAX` bytes."""
OUT_OF_STEPS: Final = "contract.out_of_steps"
"""The step budget is used up."""
ASSERTION: Final = "contract.assertion"
"""An `assert` is false."""
FAILED: Final = "contract.failed"
"""`fail` was called with something that is no code."""
APP: Final = "app."
"""What stands before the code of a good `fail(code)`."""
METHOD: Final = "contract.method"
"""The contract has no such public method."""
ARGUMENTS: Final = "contract.arguments"
"""The arguments of the call do not fit the method: how many, their types, or no values at all."""
READ_ONLY: Final = "contract.read_only"
"""A view or a query writes or emits."""
VALUE: Final = "contract.value"
"""A value cannot be encoded (too deep, too long), or bytes are no encoding, no UTF-8, no number."""
RESULT: Final = "contract.result"
"""The returned value cannot be encoded or is longer than a receipt holds."""


class Failure(Exception):
    """The call ends with `code`; `text` explains to the developer, `line` is where (0: not known)."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        self.text = text
        self.line = 0
        super().__init__(code)
