r"""Derive the expected gradients of the weights for inputs of any covariance, with matrices in place of modes.

If the input covariance is not white, the singular vectors of the weights W rotate, and there are no independent modes.
The weights obey dW/dt = E[g x1^T] + E[h x2^T] - rho W, with the two views x1 and x2 of an input, the forces g and h on
their representations, and weight decay rho. A force is first derived in the eigenbasis of the predictor W_P, with
eigenvalues lambda_m, and then rewritten in powers of W_P:

    lambda_m^a z_m  ->  W_P^a z,        sum_k lambda_k^b u_k v_k  ->  u^T W_P^b v.

Every vector u is written as a linear map of the same independent normals l ~ N(0, 1), u = L_u l. Then
E[g x1^T] = E[g l^T] E[l x1^T], and Isserlis' theorem gives E[g l^T] as a sum over pairings.

Norms ||X l|| and ||Y l|| in the denominator become integrals over x and y, as in the module ``expectations``. The
exponentials in these integrals tilt the Gaussian of l: its covariance becomes
K^T K = (1 + 2x^2 X^T X + 2y^2 Y^T Y)^(-1), and its weight is Z = |det K|. So l = K^T l' with other independent normals
l', and E[g l^T] = E[g l'^T] K. Forces are then written in the matrices X K^T and Y K^T. The function ``tilt`` of
``dynamics.numerics.special`` computes these matrices from singular vectors.
"""

from dataclasses import dataclass
from functools import lru_cache

import sympy as sp

from derivations.errors import UndecidedError, UnsupportedLossError
from derivations.losses import gradients
from derivations.symbols import notation as n
from derivations.symbols.modes import per_mode
from derivations.theory.tilting import norm_weight

d = sp.Symbol("d", integer=True, positive=True)  # number of independent normals
W_P = sp.MatrixSymbol("W_P", n.M, n.M)
K = sp.MatrixSymbol("K", d, d)
TILTED = [sp.MatrixSymbol(name, n.M, d) for name in "XY"]  # X K^T and Y K^T
VECTORS = {vector: sp.MatrixSymbol(str(vector), n.M, d) for vector in (n.z1, n.z2, n.t1, n.t2)}  # L_u of each vector u

Form = tuple[sp.MatrixExpr, sp.Expr, sp.MatrixExpr]  # (u, b, v) stands for the scalar u^T W_P^b v
Word = tuple[sp.Expr, sp.MatrixExpr]  # (a, u) stands for the vector W_P^a u


class MatrixTilt(sp.Expr):
    """A symbol for the four values X K^T, Y K^T, K and |det K|, with the arguments x, X, y, Y.

    ||X l|| and ||Y l|| are norms of linear maps of independent normals l, and x and y are their integration variables.
    The factor exp(-x^2 ||X l||^2 - y^2 ||Y l||^2) tilts the Gaussian of l. The tilted Gaussian has the covariance
    K^T K = (1 + 2x^2 X^T X + 2y^2 Y^T Y)^(-1) and the weight |det K|.
    """


@dataclass(frozen=True)
class MatrixMean:
    """The expectation E[f l^T] (M, d), where f are the terms of a force that have the same norms in the denominator.

    l (d,) are independent normals. norms: a tuple (u, b, v) for each norm; the square of the norm is
    l^T u^T W_P^b v l, with matrices u and v. If there are no norms, the expectation is ``terms``. Otherwise it is the
    integral of ``terms`` over x and y in (0, oo).
    """

    norms: tuple[Form, ...]
    terms: sp.MatrixExpr

    def symbols(self) -> set[sp.MatrixSymbol]:
        """Return the matrix symbols that occur in the terms and norms."""
        return self.terms.atoms(sp.MatrixSymbol) | {vector for u, _, v in self.norms for vector in (u, v)}


@lru_cache(maxsize=256)
def expectations(loss: sp.Expr, view: int) -> list[MatrixMean]:
    """Return the summands of E[force l^T] for the force on the representation of view 1 or 2.

    l (d,) are independent normals. Terms of the force that are divided by the same two norms form one summand. If the
    force contains no norms, there is a single summand. The list is empty if no gradient reaches the view.
    """
    groups: dict[tuple[Form, ...], list[sp.MatrixExpr]] = {}
    for term in sp.Add.make_args(sp.expand(gradients.free_force(loss, view))):
        if term == 0:
            continue
        coefficient, word, forms, norms = _read(term)
        if len(norms) not in (0, 2):
            raise UnsupportedLossError(
                f"a term has {len(norms)} norms in its denominator; if `inputs` is given, a term must have 0 or 2"
            )
        value: sp.MatrixExpr = sp.Identity(d)
        if norms:
            word, forms = _tilted(word, forms, [form for form, _ in norms])
            value = n.Z * K
        for variable, (_, power) in zip((n.x, n.y), norms, strict=False):
            coefficient *= norm_weight(variable, power)
        value = coefficient * _passed_on(word, forms) * value
        groups.setdefault(tuple(form for form, _ in norms), []).append(value)
    if () in groups and len(groups) > 1:
        raise UnsupportedLossError(
            "some terms have norms in their denominator and other terms have none; if `inputs` is given, either all "
            "terms or no terms must have norms"
        )
    return [MatrixMean(norms, sp.MatAdd(*values).doit()) for norms, values in groups.items()]


def quadratic(form: Form) -> sp.MatrixExpr:
    """Return the matrix A = u^T W_P^b v (d, d) of a form (u, b, v).

    The form stands for the scalar l^T A l, where l (d,) are independent normals.
    """
    u, b, v = form
    return sp.MatMul(u.T, _power(b), v).doit()


def norm_vectors(norms: tuple[Form, ...]) -> list[sp.MatrixExpr]:
    """Return, for each norm, the matrix X (M, d) for which the norm equals ||X l|| with independent normals l (d,)."""
    return [(_power(b / 2) * vector).doit() for vector, b, _ in norms]


def tilted(norms: tuple[Form, ...]) -> list[tuple[sp.Tuple, sp.Expr]]:
    """Return the definition of the symbols X K^T, Y K^T, K and Z for the norms ||X l|| and ||Y l|| in a denominator.

    The norms tilt the Gaussian of the independent normals l. K^T K is the covariance of the tilted Gaussian, and Z is
    the weight of the tilted Gaussian.
    """
    X, Y = norm_vectors(norms)
    return [(sp.Tuple(*TILTED, K, n.Z), MatrixTilt(n.x, X, n.y, Y))]


def _tilted(word: Word, forms: list[Form], norms: list[Form]) -> tuple[Word, list[Form]]:
    """Substitute l = K^T l' for the normals l in a vector and in scalars.

    word: the tuple (a, u), which stands for the vector W_P^a u l. forms: tuples (u, b, v), which stand for the scalars
    l^T u^T W_P^b v l. norms: the squares of two norms, in the same notation as ``forms``. The substitution turns each
    matrix u into u K^T. Let X = W_P^c u be the matrix of the first norm, and Y the matrix of the second. If u is
    multiplied by W_P^a with a >= c, the factor W_P^c u K^T of the product is replaced by the symbol X K^T, and the
    factor W_P^(a - c) remains. Y K^T is inserted in the same way.
    """
    taken = {u: (b / 2, tilted) for (u, b, _), tilted in zip(norms, TILTED, strict=True)}

    def left(exponent: sp.Expr, *vectors: sp.MatrixExpr) -> tuple[sp.Expr, ...]:
        words = []
        for vector in vectors:
            power, tilted = taken.get(vector, (sp.oo, None))
            words.append(tilted if power <= exponent else vector * K.T)
            exponent -= power if power <= exponent else 0
        return exponent, *words

    def of(form: Form) -> Form:
        b, u, v = left(form[1], form[0], form[2])
        return u, b, v

    return left(*word), [of(form) for form in forms]


def _passed_on(word: Word, forms: list[Form]) -> sp.MatrixExpr:
    """Return W_P^a u E[l prod_j (l^T A_j l) l^T] (M, d) for a word (a, u), with a product for each summand.

    The word (a, u) stands for the vector W_P^a u l, where l (d,) are independent normals. A_j is the matrix of the j-th
    form (see ``quadratic``).

    The products have fewer operations than the sum of the matrices (d, d), because M is smaller than d.
    """
    a, u = word
    return sp.MatAdd(*(_power(a) * u * summand for summand in sp.MatAdd.make_args(_moment(forms)))).doit()


def _moment(forms: list[Form]) -> sp.MatrixExpr:
    """Return E[l prod_j (l^T A_j l) l^T] (d, d) for independent normals l (d,), by Isserlis' theorem.

    A_j is the matrix of the j-th form (see ``quadratic``). The first l is paired with the last l^T, or with one l of a
    form l^T A_j l. In the second case, the other l of this form takes the place of the first l, and the function calls
    itself for the other forms.
    """
    passed_on = [_mean(forms) * sp.Identity(d)]
    for j, form in enumerate(forms):
        either_end = quadratic(form) + quadratic(form[::-1])
        passed_on.append(either_end * _moment(forms[:j] + forms[j + 1 :]))
    return sp.MatAdd(*passed_on).doit()


def _mean(forms: list[Form]) -> sp.Expr:
    """Return E[prod_j (l^T A_j l)] = tr(A_1 E[l prod_{j > 1} (l^T A_j l) l^T]) for independent normals l.

    A_j is the matrix of the j-th form (see ``quadratic``). Because A_1 = u^T W_P^b v, the trace is that of the smaller
    matrix W_P^b v E[...] u^T (M, M).
    """
    if not forms:
        return sp.Integer(1)
    u, b, v = forms[0]
    return sp.Trace(_power(b) * v * _moment(forms[1:]) * u.T).doit()


def _power(exponent: sp.Expr) -> sp.MatrixExpr:
    return sp.Identity(n.M) if exponent == 0 else W_P**exponent


def _read(term: sp.Expr) -> tuple[sp.Expr, Word, list[Form], list[tuple[Form, sp.Expr]]]:
    """Split a term of a force into its coefficient, its vector W_P^a u, its bilinear forms, and its norms.

    The vector is returned as the word (a, u), and a bilinear form u^T W_P^b v as the tuple (u, b, v). A factor
    ||v||^(-q) is returned as a pair: the tuple of the form ||v||^2, and the exponent q. Norms that contain W_P come
    first.
    """
    coefficient, exponent, vectors, forms, norms = sp.Integer(1), sp.Integer(0), [], [], []
    for factor in sp.Mul.make_args(term):
        base, power = factor.as_base_exp()
        natural = power.is_Integer and power > 0
        if not factor.has(sp.Indexed):
            coefficient *= factor
        elif isinstance(base, sp.Sum) and natural:
            forms += [_form(per_mode(base))] * int(power)
        elif isinstance(base, sp.Sum) and (2 * power).is_Integer and not power.is_Integer and power < 0:
            norms.append((_norm(per_mode(base)), -2 * power))
        elif base == n.lam[n.m] and natural:
            exponent += power
        elif isinstance(base, sp.Indexed) and base.base in VECTORS and power == 1:
            vectors.append(VECTORS[base.base])
        else:
            wrong = (
                f"the force contains {factor}, which is neither a representation nor a positive integer power of W_P"
            )
            raise UndecidedError(wrong) if power.free_symbols else UnsupportedLossError(wrong)
    if len(vectors) != 1:
        raise UnsupportedLossError(f"the force contains {term}, which is not a power of W_P times a single vector")
    norms.sort(key=lambda norm: (norm[0][1] == 0, list(VECTORS.values()).index(norm[0][0])))
    return coefficient, (exponent, vectors[0]), forms, norms


def _norm(component: sp.Expr) -> Form:
    u, b, v = _form(component)
    if u != v:
        raise UnsupportedLossError(
            f"the force is divided by a power of {component} summed over modes, which is not the square of a norm"
        )
    if b % 2:
        raise UnsupportedLossError(
            f"the force is divided by a norm that contains a root of W_P: the square of the norm is {component} "
            "summed over modes"
        )
    return u, b, v


def _form(component: sp.Expr) -> Form:
    """Return the form (u, b, v) of a sum over modes k; ``component`` is the summand lambda_k^b u_k v_k.

    The sum is the scalar u^T W_P^b v.
    """
    exponent, vectors = sp.Integer(0), []
    for factor in sp.Mul.make_args(component):
        base, power = factor.as_base_exp()
        if base == n.lam[n.k] and power.is_Integer:
            exponent = power
        elif isinstance(base, sp.Indexed) and base.base in VECTORS and power in (1, 2):
            vectors += [VECTORS[base.base]] * int(power)
        else:
            wrong = f"{component} summed over modes is not a bilinear form of the representations"
            raise UndecidedError(wrong) if power.free_symbols else UnsupportedLossError(wrong)
    if len(vectors) != 2:
        raise UnsupportedLossError(f"{component} summed over modes is not a bilinear form of the representations")
    return vectors[0], exponent, vectors[1]
