r"""Derive the expected gradients of the weights for views of any second moments, with matrices in place of modes.

If the views are not white, the singular vectors of the weights W rotate, and there are no independent modes. The
weights obey dW/dt = E[g x1^T] + E[h x2^T] - rho W, with the two views x1 and x2 of an input, the forces g and h on the
representations of these views, and weight decay rho.

The loss is written as a function of vectors: of the representations, and of products such as p1 = W_P z1 (see
``derivations.losses.products``). This module derives the forces on all vectors. A force f on the product p1 is a force
W_P^T f on z1 and a force f z1^T on W_P; numerical code multiplies by these factors.

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
from derivations.symbols import notation as n
from derivations.symbols.modes import derivative, per_mode
from derivations.symbols.stop_gradient import release
from derivations.theory.tilting import norm_weight

d = sp.Symbol("d", integer=True, positive=True)  # number of independent normals
K = sp.MatrixSymbol("K", d, d)
TILTED = [sp.MatrixSymbol(name, n.M, d) for name in "XY"]  # X K^T and Y K^T
REPRESENTATIONS = (n.z1, n.z2, n.t1, n.t2)

Form = tuple[sp.MatrixExpr, sp.MatrixExpr]  # (u, v) stands for the scalar u^T v


class MatrixTilt(sp.Expr):
    """A symbol for the four values X K^T, Y K^T, K and |det K|, with the arguments x, X, y, Y.

    ||X l|| and ||Y l|| are norms of linear maps of independent normals l, and x and y are their integration variables.
    The factor exp(-x^2 ||X l||^2 - y^2 ||Y l||^2) tilts the Gaussian of l. The tilted Gaussian has the covariance
    K^T K = (1 + 2x^2 X^T X + 2y^2 Y^T Y)^(-1) and the weight |det K|.
    """


@dataclass(frozen=True)
class MatrixMean:
    """The expectations E[f l^T] (M, d), where f are the terms of forces that have the same norms in the denominator.

    l (d,) are independent normals. norms: two vectors, by whose norms the terms are divided; or (). forces: pairs
    (vector on which a force acts, matrix). If there are no norms, the matrix is the expectation. Otherwise the
    expectation is the integral of the matrix over x and y in (0, oo).
    """

    norms: tuple[sp.MatrixSymbol, ...]
    forces: tuple[tuple[sp.MatrixSymbol, sp.MatrixExpr], ...]

    @property
    def terms(self) -> list[sp.MatrixExpr]:
        """The expectations, or their integrands, in the order of ``forces``."""
        return [term for _, term in self.forces]

    def symbols(self) -> set[sp.MatrixSymbol]:
        """Return the matrix symbols that occur in the terms and norms."""
        return set(self.norms).union(*(term.atoms(sp.MatrixSymbol) for term in self.terms))


def map_of(vector: sp.IndexedBase) -> sp.MatrixSymbol:
    """Return the symbol of the matrix (M, d) that maps independent normals l to a vector, with the vector's name."""
    return sp.MatrixSymbol(str(vector), n.M, d)


@lru_cache(maxsize=256)
def expectations(loss: sp.Expr) -> list[MatrixMean]:
    """Return the summands of the expectations E[f l^T] for the forces f on all vectors of a loss.

    loss: a loss as a function of vectors (``products.in_vectors``). l (d,) are independent normals. Terms that are
    divided by the same two norms form one summand. If no force contains a norm, there is a single summand. Forces that
    are zero are left out.
    """
    groups: dict[tuple[sp.MatrixSymbol, ...], dict[sp.MatrixSymbol, list[sp.MatrixExpr]]] = {}
    for vector in sorted({e.base for e in loss.atoms(sp.Indexed)}, key=_order):
        for term in sp.Add.make_args(sp.expand(release(-derivative(loss, vector)))):
            if term != 0:
                norms, value = _mean_of(term)
                groups.setdefault(norms, {}).setdefault(map_of(vector), []).append(value)
    if () in groups and len(groups) > 1:
        raise UnsupportedLossError(
            "some terms have norms in their denominator and other terms have none; if `inputs` is given, either all "
            "terms or no terms must have norms"
        )
    return [
        MatrixMean(norms, tuple((vector, sp.MatAdd(*values).doit()) for vector, values in forces.items()))
        for norms, forces in groups.items()
    ]


def _order(vector: sp.IndexedBase) -> tuple[bool, str]:
    """Return a key that sorts products before representations, and both by their names."""
    return vector in REPRESENTATIONS, str(vector)


def _mean_of(term: sp.Expr) -> tuple[tuple[sp.MatrixSymbol, ...], sp.MatrixExpr]:
    """Return the norms by which a term of a force is divided, and the expectation or integrand (M, d) of the term."""
    coefficient, vector, forms, norms = _read(term)
    if len(norms) not in (0, 2):
        raise UnsupportedLossError(
            f"a term has {len(norms)} norms in its denominator; if `inputs` is given, a term must have 0 or 2"
        )
    value: sp.MatrixExpr = sp.Identity(d)
    if norms:
        replaced = {norm: tilted for (norm, _), tilted in zip(norms, TILTED, strict=True)}

        def tilt(u: sp.MatrixSymbol) -> sp.MatrixExpr:
            return replaced.get(u, u * K.T)

        vector, forms = tilt(vector), [(tilt(u), tilt(v)) for u, v in forms]
        value = n.Z * K
    for variable, (_, power) in zip((n.x, n.y), norms, strict=False):
        coefficient *= norm_weight(variable, power)
    return tuple(norm for norm, _ in norms), coefficient * _passed_on(vector, forms) * value


def quadratic(form: Form) -> sp.MatrixExpr:
    """Return the matrix A = u^T v (d, d) of a form (u, v), which stands for the scalar l^T A l with normals l (d,)."""
    return sp.MatMul(form[0].T, form[1]).doit()


def tilted(norms: tuple[sp.MatrixSymbol, ...]) -> list[tuple[sp.Tuple, sp.Expr]]:
    """Return the definition of the symbols X K^T, Y K^T, K and Z for the norms ||X l|| and ||Y l|| in a denominator.

    The norms tilt the Gaussian of the independent normals l. K^T K is the covariance of the tilted Gaussian, and Z is
    the weight of the tilted Gaussian.
    """
    X, Y = norms
    return [(sp.Tuple(*TILTED, K, n.Z), MatrixTilt(n.x, X, n.y, Y))]


def _passed_on(vector: sp.MatrixExpr, forms: list[Form]) -> sp.MatrixExpr:
    """Return u E[l prod_j (l^T A_j l) l^T] (M, d) as a sum: u (M, d) times each summand of the expectation.

    u l is a vector with independent normals l (d,), and A_j is the matrix of the j-th form (see ``quadratic``). The
    products take fewer operations than the sum of the summands (d, d), because M is smaller than d.
    """
    return sp.MatAdd(*(vector * summand for summand in sp.MatAdd.make_args(_moment(forms)))).doit()


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

    A_j is the matrix of the j-th form (see ``quadratic``). Because A_1 = u^T v, the trace is that of the smaller matrix
    v E[...] u^T (M, M).
    """
    if not forms:
        return sp.Integer(1)
    u, v = forms[0]
    return sp.Trace(v * _moment(forms[1:]) * u.T).doit()


def _read(
    term: sp.Expr,
) -> tuple[sp.Expr, sp.MatrixSymbol, list[Form], list[tuple[sp.MatrixSymbol, sp.Expr]]]:
    """Split a term of a force into its coefficient, its vector, its inner products, and its norms.

    An inner product u . v is returned as the tuple (u, v). A factor ||v||^(-q) is returned as a pair: the vector v, and
    the exponent q. Norms of products with W_P come first.
    """
    coefficient, vectors, forms, norms = sp.Integer(1), [], [], []
    for factor in sp.Mul.make_args(term):
        base, power = factor.as_base_exp()
        if not factor.has(sp.Indexed):
            coefficient *= factor
        elif isinstance(base, sp.Sum) and power.is_Integer and power > 0:
            forms += [_form(per_mode(base))] * int(power)
        elif isinstance(base, sp.Sum) and (2 * power).is_Integer and not power.is_Integer and power < 0:
            norms.append((_norm(per_mode(base)), -2 * power))
        elif isinstance(base, sp.Indexed) and power == 1:
            vectors.append(base.base)
        else:
            wrong = f"the force contains {factor}, which is not a representation, or a product of one with W_P"
            raise UndecidedError(wrong) if power.free_symbols else UnsupportedLossError(wrong)
    if len(vectors) != 1:
        raise UnsupportedLossError(f"the force contains {term}, which is not a scalar times a single vector")
    norms.sort(key=lambda norm: _order(norm[0]))
    maps = [(map_of(vector), power) for vector, power in norms]
    return coefficient, map_of(vectors[0]), [(map_of(u), map_of(v)) for u, v in forms], maps


def _norm(component: sp.Expr) -> sp.IndexedBase:
    u, v = _form(component)
    if u != v:
        raise UnsupportedLossError(
            f"the force is divided by a power of {component} summed over modes, which is not the square of a norm"
        )
    return u


def _form(component: sp.Expr) -> tuple[sp.IndexedBase, sp.IndexedBase]:
    """Return the two vectors u and v of an inner product u . v; ``component`` is the summand u_k v_k."""
    vectors: list[sp.IndexedBase] = []
    for factor in sp.Mul.make_args(component):
        base, power = factor.as_base_exp()
        if isinstance(base, sp.Indexed) and power in (1, 2):
            vectors += [base.base] * int(power)
        else:
            wrong = f"{component} summed over modes is not a bilinear form of the representations"
            raise UndecidedError(wrong) if power.free_symbols else UnsupportedLossError(wrong)
    if len(vectors) != 2:
        raise UnsupportedLossError(f"{component} summed over modes is not a bilinear form of the representations")
    return vectors[0], vectors[1]
