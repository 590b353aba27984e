"""The one tree of errors: who was wrong, the stable code, the cause and the fix, in English and Chinese.

Decides how an error is shaped and shown. Refuses to know which codes exist: a room declares the codes
it raises as `ErrorCode` values in the module that raises them.

The tree::

    ZizhuError
      AskedWrongly      you asked wrongly: a client, an operator, a configuration file
        Busy            asked at a bad moment; carries `retry_after_ms`
      SpokeWrongly      they spoke wrongly: bytes or messages of a peer, a foreign proof
      OperatingFault    the machine underneath failed: a damaged file, a full disk, a taken port

A fault of our own is an assertion and stops the node; it is not in this tree.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """A stable code (`room.what_happened`) with texts; `{name}` fields are filled from the error's values."""

    code: str
    cause: str
    fix: str
    cause_zh: str
    fix_zh: str


class ZizhuError(Exception):
    """An error that has a code, a cause and a fix; `values` fill the texts."""

    def __init__(self, code: ErrorCode, **values: object) -> None:
        self.code = code
        self.values = values
        super().__init__(f"{code.code}: {code.cause.format(**values)}")

    def cause(self, language: str = "en") -> str:
        """What happened, in `language` ("en" or "zh")."""
        text = self.code.cause_zh if language == "zh" else self.code.cause
        return text.format(**self.values)

    def fix(self, language: str = "en") -> str:
        """What to do about it, in `language` ("en" or "zh")."""
        text = self.code.fix_zh if language == "zh" else self.code.fix
        return text.format(**self.values)


class AskedWrongly(ZizhuError):
    """The caller's request breaks a rule; nothing was changed."""


class Busy(AskedWrongly):
    """A valid request at a bad moment; ask again after `retry_after_ms`."""

    def __init__(self, code: ErrorCode, *, retry_after_ms: int, **values: object) -> None:
        self.retry_after_ms = retry_after_ms
        super().__init__(code, retry_after_ms=retry_after_ms, **values)


class SpokeWrongly(ZizhuError):
    """Bytes that came from outside break a rule of the protocol."""


class OperatingFault(ZizhuError):
    """The machine underneath failed: disk, file, port, process."""
