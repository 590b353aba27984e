"""Evidence: digests of documents, who issued and who holds them, and everything that happened to each.

A voucher is one document of one issuer. It has an index, counted from 1, and a record that says what holds now;
its history has one entry an act, in order. Nothing is ever deleted: a replaced digest stays readable in the record.

The issuer may replace and revoke, the holder may transfer; a revoked voucher does not change any more.

State: "t" the types with their digest algorithms, "n" how many vouchers there are, "p" the pepper,
b"v" + index the records, b"h" + index + number the history, b"d" + tag + index the vouchers of a digest,
b"i" + tag + issuer the voucher of a digest and an issuer.

A proof of one record shows the hashes of a few other keys and values, so that none of them may be guessable:
a record holds a salt, and a tag hashes the digest with the pepper, which is known to members only.
"""

VERSION = 1
DIGEST_BYTES = 32
SALT_BYTES = 32
ACCOUNT_BYTES = 20
REASON_CHARACTERS_MAX = 200
PAGE_MAX = 20
HISTORY_PAGE_MAX = 50
REPLACEMENTS_MAX = 32


def init(agreed: dict):
    """`agreed`: the name of each type of voucher, and the algorithm agreed for it, "sm3" or "sha256"."""
    assert len(agreed) > 0
    for name in agreed:
        assert type_name(name) == "str" and 1 <= len(name) <= 64
        assert agreed[name] == "sm3" or agreed[name] == "sha256"
    put("t", agreed)


@public
def register(type: str, algorithm: str, digest: bytes, salt: bytes):
    """A new voucher of the caller, or the one it has already registered for this digest."""
    agreed = get("t")
    if type not in agreed:
        fail("voucher.type", "no such type")
    if agreed[type] != algorithm:
        fail("voucher.algorithm", "another algorithm is agreed for the type")
    check_digest(digest, salt)
    tag = tag_of(digest, salt)
    issuer = caller()
    own = get(b"i" + tag + issuer)
    if own is not None:
        return {"index": own, "created": False, "first": get(voucher_key(own))["first"]}
    index = get("n", 0) + 1
    put("n", index)
    first = first_of(tag)
    record = {
        "version": VERSION,
        "index": index,
        "type": type,
        "algorithm": algorithm,
        "digest": digest,
        "issuer": issuer,
        "holder": issuer,
        "state": "authentic",
        "first": first,
        "height": height(),
        "time_ms": time_ms(),
        "transaction": transaction_id(),
        "salt": hash("sha256", b"record" + salt),
        "replaced": [],
        "revoked": None,
        "entries": 0,
    }
    claim(tag, issuer, index)
    note(record, "register", {"digest": digest})
    return {"index": index, "created": True, "first": first}


@public
def transfer(index: int, to: bytes):
    """The holder gives the voucher to account `to`."""
    record = living(index)
    if caller() != record["holder"]:
        fail("voucher.not_holder", "only the holder transfers")
    if len(to) != ACCOUNT_BYTES or to == from_hex("00" * ACCOUNT_BYTES):
        fail("voucher.account", "the new holder is an account of 20 bytes")
    if to == record["holder"]:
        fail("voucher.same_holder", "the account holds it already")
    giver = record["holder"]
    record["holder"] = to
    note(record, "transfer", {"giver": giver, "taker": to})
    return index


@public
def replace(index: int, digest: bytes, salt: bytes):
    """The issuer puts another document of the same type in the place of the present one."""
    record = living(index)
    if caller() != record["issuer"]:
        fail("voucher.not_issuer", "only the issuer replaces")
    check_digest(digest, salt)
    tag = tag_of(digest, salt)
    if get(b"i" + tag + record["issuer"]) is not None:
        fail("voucher.digest_taken", "the issuer has registered this digest before")
    if len(record["replaced"]) >= REPLACEMENTS_MAX:
        fail("voucher.replacements", "replaced too often")
    old = record["digest"]
    record["replaced"].append([old, time_ms(), height()])
    record["digest"] = digest
    record["salt"] = hash("sha256", b"record" + salt)
    claim(tag, record["issuer"], index)
    note(record, "replace", {"old": old, "new": digest})
    return index


@public
def revoke(index: int, reason: str):
    """The issuer declares the voucher void, for good."""
    record = living(index)
    if caller() != record["issuer"]:
        fail("voucher.not_issuer", "only the issuer revokes")
    if not 1 <= len(reason) <= REASON_CHARACTERS_MAX:
        fail("voucher.reason", "a reason has 1 to 200 characters")
    record["state"] = "revoked"
    record["revoked"] = {"reason": reason, "time_ms": time_ms(), "height": height()}
    note(record, "revoke", {"reason": reason})
    return index


@view
def show(index: int):
    """The record of a voucher."""
    return existing(index)


@view
def history(index: int, after: int = 0, limit: int = 50):
    """At most `limit` acts, in order, behind number `after`."""
    existing(index)
    if not 0 <= after < 4294967296 or not 1 <= limit <= HISTORY_PAGE_MAX:
        fail("voucher.page", "after is a number from 0, limit 1 to 50")
    prefix = b"h" + to_bytes(index, 8)
    return [entry[1] for entry in scan(prefix, prefix + to_bytes(after, 4), limit)]


@view
def page(after: int = 0, limit: int = 20):
    """At most `limit` records, in the order of their indexes, behind index `after`."""
    if not 0 <= after < 18446744073709551616 or not 1 <= limit <= PAGE_MAX:
        fail("voucher.page", "after is an index or 0, limit 1 to 20")
    return [entry[1] for entry in scan(b"v", voucher_key(after), limit)]


@view
def find(digest: bytes, after: int = 0):
    """At most 20 vouchers that have, or once had, this digest, the first registered first, behind index `after`."""
    if get("p") is None:
        return []
    prefix = b"d" + tag_of(digest, b"")
    found = scan(prefix, prefix + to_bytes(after, 8), PAGE_MAX)
    return [get(voucher_key(entry[1])) for entry in found]


@view
def types():
    """The types, each with its algorithm."""
    return get("t")


@view
def count():
    """How many vouchers there are."""
    return get("n", 0)


def voucher_key(index):
    return b"v" + to_bytes(index, 8)


def existing(index):
    record = None
    if 0 < index < 18446744073709551616:
        record = get(voucher_key(index))
    if record is None:
        fail("voucher.unknown", "no voucher has this index")
    return record


def living(index):
    record = existing(index)
    if record["state"] == "revoked":
        fail("voucher.revoked", "a revoked voucher does not change")
    return record


def check_digest(digest, salt):
    if len(digest) != DIGEST_BYTES:
        fail("voucher.digest", "a digest has 32 bytes")
    if len(salt) != SALT_BYTES:
        fail("voucher.salt", "a salt has 32 random bytes")


def tag_of(digest, salt):
    """What a digest is found by. The pepper comes from the very first salt, and no record leads back to it."""
    pepper = get("p")
    if pepper is None:
        pepper = hash("sha256", b"pepper" + salt)
        put("p", pepper)
    return hash("sha256", pepper + digest)


def first_of(tag):
    found = scan(b"d" + tag, None, 1)
    return found[0][1] if found else None


def claim(tag, issuer, index):
    put(b"d" + tag + to_bytes(index, 8), index)
    put(b"i" + tag + issuer, index)


def note(record, action, detail):
    """Keeps the record, with one more entry in its history, and tells whoever listens."""
    record["entries"] += 1
    index = record["index"]
    entry = {
        "number": record["entries"],
        "action": action,
        "actor": caller(),
        "height": height(),
        "time_ms": time_ms(),
        "transaction": transaction_id(),
        "detail": detail,
    }
    put(b"h" + to_bytes(index, 8) + to_bytes(record["entries"], 4), entry)
    put(voucher_key(index), record)
    emit("voucher." + action, {"index": index, "actor": caller(), "detail": detail})
