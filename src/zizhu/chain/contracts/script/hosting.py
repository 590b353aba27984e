"""Host functions: all a contract can learn or do beyond its arguments.

Decides their names, parameters and prices. Refuses to know what is behind the host. Everything here is a
function of state, transaction and block header; the list is an allow-list and has a test that repeats it.
"""

from zizhu.chain.contracts.script import failures, prices
from zizhu.chain.contracts.script.failures import Failure
from zizhu.chain.contracts.script.functions import Builtin, decode_metered, encode_metered
from zizhu.chain.contracts.script.operations import wrong_types
from zizhu.chain.contracts.script.run import Run
from zizhu.chain.model import limits
from zizhu.chain.model.value import Value

SCAN_LIMIT_MAX = 1_000


def _key(run: Run, key: Value) -> bytes:
    """A state key: bytes as they are, text as UTF-8; so "a" and b"a" are one key."""
    if type(key) is bytes:
        data = key
    elif type(key) is str:
        if len(key) > limits.STATE_KEY_BYTES_MAX:
            run.spend(prices.HOST_GET)
            raise Failure(failures.VALUE, f"a state key has at most {limits.STATE_KEY_BYTES_MAX} bytes")
        data = key.encode("utf-8")
    else:
        raise wrong_types("a state key", key)
    return data


def _writable(run: Run, name: str) -> None:
    if run.read_only:
        raise Failure(failures.READ_ONLY, f"{name} in a view or a query")


def _get(run: Run, key: Value, default: Value) -> Value:
    run.spend(prices.HOST_GET)
    data = run.host.get(_key(run, key))
    return default if data is None else decode_metered(run, data)


def _put(run: Run, key: Value, value: Value) -> Value:
    run.spend(prices.HOST_PUT)
    _writable(run, "put")
    name = _key(run, key)
    run.host.put(name, encode_metered(run, value, limits.STATE_VALUE_BYTES_MAX))
    return None


def _delete(run: Run, key: Value) -> Value:
    run.spend(prices.HOST_DELETE)
    _writable(run, "delete")
    run.host.delete(_key(run, key))
    return None


def _scan(run: Run, prefix: Value, after: Value, limit: Value) -> Value:
    """[key, value] of at most `limit` entries whose key starts with `prefix`, ascending, behind `after`."""
    run.spend(prices.HOST_SCAN)
    if type(limit) is not int:
        raise wrong_types("scan", limit)
    if not 1 <= limit <= SCAN_LIMIT_MAX:
        raise Failure(failures.VALUE, f"scan takes a limit of 1 to {SCAN_LIMIT_MAX}")
    # The whole limit is paid before the host looks: it may find that many.
    run.spend(limit * prices.HOST_SCAN_ENTRY)
    entries = run.host.scan(_key(run, prefix), None if after is None else _key(run, after), limit)
    run.allocate(len(entries) * (prices.CONTAINER_BYTES + 2 * prices.SLOT_BYTES))
    found: list[Value] = []
    for key, data in entries:
        run.take(len(key))
        found.append([key, decode_metered(run, data)])
    return found


def _emit(run: Run, name: Value, value: Value) -> Value:
    run.spend(prices.HOST_EMIT)
    _writable(run, "emit")
    if type(name) is not str:
        raise wrong_types("emit", name)
    if not 1 <= len(name) <= limits.NAME_BYTES_MAX or len(name.encode("utf-8")) > limits.NAME_BYTES_MAX:
        raise Failure(failures.VALUE, f"an event's name has 1 to {limits.NAME_BYTES_MAX} bytes")
    run.host.emit(name, encode_metered(run, value, limits.EVENT_BYTES_MAX))
    return None


def _verify(run: Run, suite: Value, public_key: Value, message: Value, signature: Value) -> Value:
    """Whether an account's signature is good; False for an unknown suite."""
    if type(suite) is not int or type(public_key) is not bytes or type(signature) is not bytes:
        raise wrong_types("verify", suite, public_key, message, signature)
    if type(message) is not bytes:
        raise wrong_types("verify", suite, public_key, message, signature)
    run.spend(prices.HOST_VERIFY + (len(public_key) + len(message) + len(signature) >> prices.HASH_SHIFT))
    return run.host.verify(suite, public_key, message, signature)


def _hash(run: Run, algorithm: Value, data: Value) -> Value:
    """32 bytes: "sm3" or "sha256" of bytes."""
    if type(algorithm) is not str or type(data) is not bytes:
        raise wrong_types("hash", algorithm, data)
    run.spend(prices.HOST_HASH + (len(data) >> prices.HASH_SHIFT))
    return run.host.hash(algorithm, data)


def _caller(run: Run) -> Value:
    return run.host.caller


def _origin(run: Run) -> Value:
    return run.host.origin


def _contract_id(run: Run) -> Value:
    return run.host.contract


def _transaction_id(run: Run) -> Value:
    return run.host.transaction


def _height(run: Run) -> Value:
    return run.host.height


def _time_ms(run: Run) -> Value:
    return run.host.time_ms


HOST: tuple[Builtin, ...] = (
    Builtin("get", _get, ("key", "default"), (None,)),
    Builtin("put", _put, ("key", "value")),
    Builtin("delete", _delete, ("key",)),
    Builtin("scan", _scan, ("prefix", "after", "limit"), (None, 100)),
    Builtin("emit", _emit, ("name", "value")),
    Builtin("caller", _caller, ()),
    Builtin("origin", _origin, ()),
    Builtin("contract_id", _contract_id, ()),
    Builtin("transaction_id", _transaction_id, ()),
    Builtin("height", _height, ()),
    Builtin("time_ms", _time_ms, ()),
    Builtin("verify", _verify, ("suite", "public_key", "message", "signature")),
    Builtin("hash", _hash, ("algorithm", "data")),
)
"""Every host function, in the order of the reference."""
