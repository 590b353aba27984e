"""What a ledger keeps in memory to be quick is bounded, and what was forgotten is made again."""

from zizhu.chain.contracts.port import Program
from zizhu.chain.ledger.archive import DECODED_MAX, _Memory
from zizhu.chain.ledger.execute import PROGRAMS_MAX, Executor
from zizhu.framework.testkit.fakes import engine as native
from zizhu.framework.testkit.fakes.ledger import ENGINES, SUITES
from zizhu.framework.testkit.fakes.suite import suite


class Loading(native.NativeEngine):
    """The native engine, which counts what it loads."""

    def __init__(self) -> None:
        self.loaded: list[bytes] = []

    def load(self, source: bytes) -> Program:
        self.loaded.append(source)
        return native.engine.load(native.SOURCE)


def test_programs_kept_are_bounded() -> None:
    """PROGRAMS_MAX programs are loaded once each; with one more the oldest is forgotten, and loaded again if called."""
    loading = Loading()
    executor = Executor(suite, SUITES, ENGINES)
    sources = [number.to_bytes(4, "big") for number in range(PROGRAMS_MAX + 1)]
    for source in sources[:-1] * 2:
        executor._loaded(loading, suite.digest(source), source)
    assert loading.loaded == sources[:-1]
    executor._loaded(loading, suite.digest(sources[-1]), sources[-1])
    for source in sources[1:]:
        executor._loaded(loading, suite.digest(source), source)
    assert loading.loaded == sources
    executor._loaded(loading, suite.digest(sources[0]), sources[0])
    assert loading.loaded == [*sources, sources[0]]


def test_decoded_blocks_kept_are_bounded() -> None:
    """DECODED_MAX are kept; above it the one asked for longest ago goes, and is fetched again."""
    memory: _Memory[int, int] = _Memory()
    fetched: list[int] = []

    def get(number: int) -> int:
        def fetch() -> int:
            fetched.append(number)
            return -number

        return memory.get(number, fetch)

    for number in [*range(DECODED_MAX), *range(DECODED_MAX)]:
        assert get(number) == -number
    assert fetched == list(range(DECODED_MAX))
    get(DECODED_MAX)
    for number in range(1, DECODED_MAX + 1):
        get(number)
    assert fetched == list(range(DECODED_MAX + 1))
    assert get(0) == 0 and fetched[-1] == 0 and len(fetched) == DECODED_MAX + 2
