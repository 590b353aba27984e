"""A contract engine without a language: one contract, written in Python, with a fixed price for each act.

Decides methods that reach every part of the host API, so that the ledger and the simulator can be tested without
an interpreter. It takes part in no ledger of anybody's: it stands in no entry point group.
"""

from collections.abc import Callable

from zizhu.chain.contracts.port import CallResult, ContractEngine, Host, HostRefusal, Problem, Program, StepsExhausted
from zizhu.chain.model.errors import AskedWrongly, ErrorCode
from zizhu.chain.model.value import Value, decode_value, encode_value

NAME = "native"
SOURCE = b"native contract"
"""The one good source; `SOURCE + b" ..."` is the same contract under another hash."""
CALL_STEPS = 20
HOST_STEPS = 10

BAD_SOURCE = ErrorCode(
    "native.source",
    "the source does not begin with {wanted}",
    "deploy the source of the test kit",
    "源代码未以 {wanted} 开头",
    "请部署测试套件提供的源代码",
)


class _Refused(Exception):
    """The method refuses; `code` ends the call."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class _Meter:
    """Counts the steps of one call."""

    def __init__(self, steps_max: int) -> None:
        self.used = 0
        self._max = steps_max

    def charge(self, steps: int) -> None:
        """Adds `steps`; raises StepsExhausted with all of the budget charged."""
        if self.used + steps > self._max:
            self.used = self._max
            raise StepsExhausted
        self.used += steps


class _Call:
    """One call: the methods of the contract, on one host and one meter."""

    def __init__(self, host: Host, meter: _Meter) -> None:
        self.host = host
        self.meter = meter

    def init(self, *balances: Value) -> Value:
        """init(account, amount, account, amount, ...): the first balances."""
        for account, amount in zip(balances[::2], balances[1::2], strict=True):
            self._store(_bytes(account), _int(amount))
        return None

    def put(self, key: Value, value: Value) -> Value:
        """Writes bytes."""
        self.meter.charge(HOST_STEPS)
        self.host.put(_bytes(key), _bytes(value))
        return None

    def get(self, key: Value) -> Value:
        """Reads bytes."""
        self.meter.charge(HOST_STEPS)
        return self.host.get(_bytes(key))

    def delete(self, key: Value) -> Value:
        """Removes a key."""
        self.meter.charge(HOST_STEPS)
        self.host.delete(_bytes(key))
        return None

    def scan(self, prefix: Value, after: Value, limit: Value) -> Value:
        """[[key, value], ...]"""
        self.meter.charge(HOST_STEPS)
        behind = None if after is None else _bytes(after)
        return [[key, value] for key, value in self.host.scan(_bytes(prefix), behind, _int(limit))]

    def emit(self, name: Value, data: Value) -> Value:
        """Emits an event."""
        self.meter.charge(HOST_STEPS)
        self.host.emit(_str(name), _bytes(data))
        return None

    def increment(self, key: Value) -> Value:
        """Adds one to a counter and tells its value."""
        self.meter.charge(2 * HOST_STEPS)
        stored = self.host.get(_bytes(key))
        count = (0 if stored is None else _int(decode_value(stored))) + 1
        self.host.put(_bytes(key), encode_value(count))
        return count

    def transfer(self, target: Value, amount: Value) -> Value:
        """Moves an amount from the caller to `target`; a caller without it is refused (`native.balance`)."""
        moved = _int(amount)
        have = self._balance(self.host.caller)
        if moved < 0 or have < moved:
            raise _Refused("native.balance")
        self._store(self.host.caller, have - moved)
        self._store(_bytes(target), self._balance(_bytes(target)) + moved)
        self.emit("transfer", encode_value([self.host.caller, target, amount]))
        return None

    def balance(self, account: Value) -> Value:
        """What an account has."""
        return self._balance(_bytes(account))

    def burn(self, rounds: Value) -> Value:
        """Charges one step, writes, `rounds` times: runs out at any step one likes."""
        for turn in range(_int(rounds)):
            self.meter.charge(1)
            self.host.put(b"burnt", str(turn).encode())
        return None

    def fail(self, code: Value) -> Value:
        """Writes, emits, then ends with `code`."""
        self.put(b"half done", b"yes")
        self.emit("half done", b"\xc0")
        raise _Refused(_str(code))

    def echo(self, value: Value) -> Value:
        """Returns what it is given."""
        return value

    def seen(self) -> Value:
        """[caller, origin, contract, transaction, height, time_ms, read_only]"""
        host = self.host
        return [
            host.caller, host.origin, host.contract, host.transaction, host.height, host.time_ms, host.read_only
        ]  # fmt: skip

    def verify(self, suite: Value, public_key: Value, message: Value, signature: Value) -> Value:
        """Whether a signature is good."""
        self.meter.charge(HOST_STEPS)
        return self.host.verify(_int(suite), _bytes(public_key), _bytes(message), _bytes(signature))

    def hash(self, algorithm: Value, data: Value) -> Value:
        """A digest."""
        self.meter.charge(HOST_STEPS)
        return self.host.hash(_str(algorithm), _bytes(data))

    def _balance(self, account: bytes) -> int:
        self.meter.charge(HOST_STEPS)
        stored = self.host.get(b"balance" + account)
        return 0 if stored is None else _int(decode_value(stored))

    def _store(self, account: bytes, amount: int) -> None:
        self.meter.charge(HOST_STEPS)
        self.host.put(b"balance" + account, encode_value(amount))


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise _Refused("native.type")
    return value


def _int(value: Value) -> int:
    if not isinstance(value, int):
        raise _Refused("native.type")
    return value


def _str(value: Value) -> str:
    if not isinstance(value, str):
        raise _Refused("native.type")
    return value


METHODS: tuple[str, ...] = (
    "init", "put", "get", "delete", "scan", "emit", "increment", "transfer", "balance", "burn", "fail", "echo",
    "seen", "verify", "hash",
)  # fmt: skip


class NativeProgram:
    """The contract. As with `script`, `init` is not among its methods, yet `call` takes it."""

    methods: tuple[str, ...] = METHODS

    def call(self, method: str, arguments: list[Value], host: Host, *, steps_max: int) -> CallResult:
        """Runs one method; never raises for what it is given."""
        assert method == "init" or method in METHODS
        meter = _Meter(steps_max)
        act: Callable[..., Value] = getattr(_Call(host, meter), method)
        try:
            meter.charge(CALL_STEPS)
            value = act(*arguments)
        except StepsExhausted:
            return CallResult("contract.out_of_steps", meter.used, None, "the step budget is used up")
        except (HostRefusal, _Refused) as refusal:
            return CallResult(refusal.code, meter.used, None, f"refused: {refusal.code}")
        except (TypeError, ValueError) as error:
            return CallResult("native.arguments", meter.used, None, str(error))
        return CallResult("", meter.used, value, "")


class NativeEngine:
    """The engine; one value of it, `engine`, serves everybody."""

    name = NAME

    def check(self, source: bytes) -> list[Problem]:
        """Whether the source is the one it knows."""
        if source.startswith(SOURCE):
            return []
        return [Problem(1, 1, "native.source", f"the source does not begin with {SOURCE!r}")]

    def load(self, source: bytes) -> Program:
        """The contract. Raises AskedWrongly (`native.source`)."""
        if self.check(source):
            raise AskedWrongly(BAD_SOURCE, wanted=SOURCE.decode())
        return NativeProgram()


engine: ContractEngine = NativeEngine()
