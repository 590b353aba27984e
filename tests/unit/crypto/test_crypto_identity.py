"""Hash domains, account and member ids, and what crypto code may import."""

import ast
import hashlib
import tomllib
from pathlib import Path

import pytest

import zizhu
from zizhu.chain.crypto.accounts import account_id, member_id
from zizhu.chain.crypto.domain_hash import DOMAINS_KEPT_MAX, DomainHash
from zizhu.chain.crypto.guomi.suite import suite as guomi
from zizhu.chain.crypto.international.suite import suite as international
from zizhu.chain.crypto.port import Suite

PACKAGE = Path(zizhu.__file__).parent
CRYPTO = PACKAGE / "chain" / "crypto"
IMPURE = frozenset(
    [
        "asyncio",
        "time",
        "datetime",
        "random",
        "secrets",
        "socket",
        "ssl",
        "os",
        "pathlib",
        "subprocess",
        "threading",
        "logging",
        "sqlite3",
        "tempfile",
        "uuid",
    ]
)
SUITES = [pytest.param(guomi, id="guomi"), pytest.param(international, id="international")]


@pytest.mark.parametrize(("suite", "algorithm"), [(guomi, "sm3"), (international, "sha256")])
def test_hash_is_length_domain_data(suite: Suite, algorithm: str) -> None:
    """hash(domain, data) = H(len(domain) ‖ domain ‖ data), at the first call and the later ones."""
    for domain in (b"a", b"block", b"d" * 32):
        for data in (b"", b"data", bytes(100_000)):
            expected = hashlib.new(algorithm, bytes([len(domain)]) + domain + data).digest()
            assert suite.hash(domain, data) == suite.hash(domain, data) == expected
            assert suite.digest(data) == hashlib.new(algorithm, data).digest()


def test_wrong_domains_are_our_own_fault_and_states_are_bounded() -> None:
    """A domain of 0 or 33 bytes or beyond ASCII is asserted; more domains than are kept still hash right."""
    hashing = DomainHash(hashlib.sha256)
    for domain in (b"", b"d" * 33, b"\xe9"):
        with pytest.raises(AssertionError):
            hashing.hash(domain, b"")
    for number in range(DOMAINS_KEPT_MAX + 20):
        domain = f"domain-{number}".encode()
        assert hashing.hash(domain, b"x") == hashlib.sha256(bytes([len(domain)]) + domain + b"x").digest()


def test_suites_have_the_codes_of_the_protocol() -> None:
    """1 is guomi, 2 is international; names and key lengths fit what transactions carry."""
    assert (guomi.code, guomi.name) == (1, "guomi")
    assert (international.code, international.name) == (2, "international")
    for suite in (guomi, international):
        assert 32 <= suite.accounts.public_key_bytes <= 65
        assert 32 <= suite.members.public_key_bytes <= 65


@pytest.mark.parametrize("suite", SUITES)
def test_ids_commit_to_suite_and_key(suite: Suite) -> None:
    """An account id is 20 bytes of H("account", code ‖ key), a member id H("member", key)."""
    key = suite.accounts.public_key(suite.accounts.generate())
    assert account_id(suite, key) == suite.hash(b"account", bytes([suite.code]) + key)[:20]
    assert member_id(suite, key) == suite.hash(b"member", key)
    other = international if suite is guomi else guomi
    assert account_id(other, key) != account_id(suite, key) != account_id(suite, key + b"\0")


def _imports(file: Path) -> list[str]:
    """The modules that `file` names in import statements, anywhere in it."""
    found: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                found += [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), names=names):
                found.append(module)
                found += [f"{module}.{alias.name}" for alias in names]
            case _:
                pass
    return found


def _reached(start: str) -> dict[str, str]:
    """Modules of others that `start` reaches through ours, each with the one of ours that names it."""
    foreign: dict[str, str] = {}
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        module = waiting.pop()
        file = PACKAGE.parent / (module.replace(".", "/") + ".py")
        if module in seen or not file.exists():
            continue
        seen.add(module)
        for name in _imports(file):
            if name.startswith("zizhu."):
                waiting.append(name)
            else:
                foreign.setdefault(name.partition(".")[0], module)
    return foreign


@pytest.mark.row("G-1")
def test_crypto_imports_no_random_and_no_simulator() -> None:
    """`random` is banned from crypto, and so is every room but model: keys and nonces come from the operating
    system's generator alone, never from the simulator's."""
    files = sorted(CRYPTO.rglob("*.py"))
    assert len(files) > 12
    for file in files:
        for name in _imports(file):
            assert name.partition(".")[0] not in ("random", "numpy", "gmssl", "gmssl_pyx"), f"{file}: {name}"
            assert not name.startswith("zizhu.") or name.startswith(("zizhu.chain.crypto", "zizhu.chain.model"))


@pytest.mark.row("G-1")
def test_gmssl_is_not_a_dependency() -> None:
    """gmssl, which drew its nonces from `random`, is no dependency: no run-time dependency begins with its name."""
    project = tomllib.loads((PACKAGE.parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dependencies"]
    assert not [name for name in project["dependencies"] if name.startswith(("gmssl", "tongsuo", "pysm"))]


@pytest.mark.parametrize("module", ["port", "merkle", "accounts"])
def test_what_pure_rooms_use_of_crypto_is_pure(module: str) -> None:
    """port, merkle and accounts reach no clock, no generator and no system, even through others of ours."""
    reached = _reached(f"zizhu.chain.crypto.{module}")
    assert reached, "the walk found the file"
    assert not IMPURE & set(reached), {name: reached[name] for name in sorted(IMPURE & set(reached))}
    assert "secrets" in _reached("zizhu.chain.crypto.secret"), "the walk sees what it looks for"
