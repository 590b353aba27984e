"""SM2 verification in plain integers with tables per key: the last rung, and the oracle of the others.

Decides how to verify with nothing but Python. Refuses to sign: it is not constant in time, and holds no secret.
Works on any short Weierstrass curve of `Curve`'s shape, so that the standard's example curve can be tested too.

Source: GB/T 32918.2, section 7; Jacobian coordinates as in Hankerson, Menezes, Vanstone, section 3.2.2.
"""

from functools import lru_cache

from zizhu.chain.crypto.guomi.curve import SM2, Curve, Point

BASE_WINDOW_BITS = 8
KEY_WINDOW_BITS = 6
"""A key's table: 43 rows of 63 points, 0.6 MB, 15 ms to build; the base point's is built once."""

Jacobian = tuple[int, int, int]
"""(X, Y, Z) stands for (X/Z², Y/Z³); Z = 0 is the point at infinity."""
INFINITY: Jacobian = (1, 1, 0)


def double(point: Jacobian, curve: Curve) -> Jacobian:
    """2·point."""
    x, y, z = point
    p = curve.p
    if z == 0 or y == 0:
        return INFINITY
    yy = y * y % p
    zz = z * z % p
    s = 4 * x * yy % p
    m = (3 * x * x + curve.a * zz * zz) % p
    x3 = (m * m - 2 * s) % p
    return x3, (m * (s - x3) - 8 * yy * yy) % p, 2 * y * z % p


def add(left: Jacobian, right: Point, curve: Curve) -> Jacobian:
    """left + right, complete: equal, opposite and infinite operands included."""
    x1, y1, z1 = left
    x2, y2 = right
    p = curve.p
    if z1 == 0:
        return x2, y2, 1
    zz = z1 * z1 % p
    h = (x2 * zz - x1) % p
    r = (y2 * z1 * zz - y1) % p
    if h == 0:
        return double(left, curve) if r == 0 else INFINITY
    hh = h * h % p
    hhh = h * hh % p
    v = x1 * hh % p
    x3 = (r * r - hhh - 2 * v) % p
    return x3, (r * (v - x3) - y1 * hhh) % p, z1 * h % p


def normalise(points: list[Jacobian], curve: Curve) -> list[Point]:
    """The affine forms, with one modular inversion for all (Montgomery's trick). None may be infinite."""
    p = curve.p
    products = [1]
    for _, _, z in points:
        products.append(products[-1] * z % p)
    inverse = pow(products.pop(), -1, p)
    affine: list[Point] = []
    for (x, y, z), before in zip(reversed(points), reversed(products), strict=True):
        own = inverse * before % p
        inverse = inverse * z % p
        square = own * own % p
        affine.append(Point(x * square % p, y * square * own % p))
    affine.reverse()
    return affine


class Table:
    """Multiples of one point: row i, column j-1 holds j · 2^(width·i) · point."""

    __slots__ = ("_curve", "_rows", "_width")

    def __init__(self, point: Point, *, curve: Curve, width: int) -> None:
        assert curve.holds(point), "a table of a point off the curve"
        columns = (1 << width) - 1
        multiples: list[Jacobian] = []
        for _ in range(-(-curve.n.bit_length() // width)):
            multiple = INFINITY
            for _ in range(columns):
                multiple = add(multiple, point, curve)
                multiples.append(multiple)
            point = normalise([add(multiple, point, curve)], curve)[0]
        flat = normalise(multiples, curve)
        self._rows = [flat[start : start + columns] for start in range(0, len(flat), columns)]
        self._curve = curve
        self._width = width

    def add_multiple(self, total: Jacobian, scalar: int) -> Jacobian:
        """total + scalar · point, for a scalar in 0..n-1."""
        curve, width = self._curve, self._width
        mask = (1 << width) - 1
        for row in self._rows:
            digit = scalar & mask
            if digit:
                total = add(total, row[digit - 1], curve)
            scalar >>= width
        return total


@lru_cache(maxsize=4)
def base_table(curve: Curve) -> Table:
    """The table of the curve's base point, built at the first call."""
    return Table(curve.base, curve=curve, width=BASE_WINDOW_BITS)


class IntegerKey:
    """A public key ready to verify with; `point` must lie on the curve (asserted)."""

    __slots__ = ("_base", "_curve", "_table")

    def __init__(self, point: Point, curve: Curve = SM2) -> None:
        self._curve = curve
        self._base = base_table(curve)
        self._table = Table(point, curve=curve, width=KEY_WINDOW_BITS)

    def verify(self, digest: bytes, signature: bytes) -> bool:
        """Whether r ‖ s, each in 1..n-1 (the caller checked), signs the 32-byte `digest` e = SM3(Z_A ‖ M)."""
        p, n = self._curve.p, self._curve.n
        r = int.from_bytes(signature[:32], "big")
        s = int.from_bytes(signature[32:], "big")
        t = (r + s) % n
        if t == 0:
            return False
        x, _, z = self._table.add_multiple(self._base.add_multiple(INFINITY, s), t)
        if z == 0:
            return False
        # r = e + x1 mod n, with x1 = X/Z² < p: compare x1's candidates times Z² instead of inverting Z.
        zz = z * z % p
        candidate = (r - int.from_bytes(digest, "big")) % n
        while candidate < p:
            if candidate * zz % p == x:
                return True
            candidate += n
        return False


class Integers:
    """The rung of plain integers."""

    name = "integers"
    keys_max = 64
    """Tables kept: 0.6 MB each."""

    def prepare(self, point: Point) -> IntegerKey:
        """`point` ready to verify with."""
        return IntegerKey(point)
