"""Write the source of one Python function that computes SymPy expressions from arrays.

The function defines symbols, gives names to sums over modes, and returns the values of the expressions.
"""

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill, indent

import sympy as sp

from derivations.codegen.layout import INDENT, WIDTH, broken
from derivations.printers.array_code import ARRAY, ArrayPrinter, Dialect, spaced
from derivations.printers.sum_names import names_of_sums
from derivations.symbols import notation as n
from derivations.theory import moments

Definition = tuple[sp.Basic, sp.Basic | str]  # a symbol (or a tuple of symbols), and its value as expression or code

# Code takes the variances of the noise in place of the standard deviations. For views with other second moments, the
# values that take the place of the variances may be negative (see ``dynamics.model.views``).
EXCESS = {
    n.sigma1: sp.sqrt(sp.Symbol("excess1", positive=True)),
    n.sigma2: sp.sqrt(sp.Symbol("excess2", positive=True)),
}


def function(
    name: str,
    arguments: Sequence[str],
    doc: str,
    results: Sequence[sp.Basic],
    definitions: Iterable[Definition] = (),
    names: Mapping[sp.Basic, str] | None = None,
    dialect: Dialect = ARRAY,
    lines: Iterable[str] = (),
) -> str:
    """Return the source of a Python function ``def name(arguments)`` that returns the values of ``results``.

    The body of the function starts with the code ``lines``. Then follow the definitions that the results need, a named
    variable for each sum over modes, and the return statement. doc: docstring of the function, without indentation; its
    paragraphs after the first are filled to lines of one width.
    names: code to print in place of certain expressions. dialect: names of the array library's functions; in the code,
    ``xp`` is the array namespace of the first argument.
    """
    results = [_in_code(result) for result in results]
    definitions = [(left, right if isinstance(right, str) else _in_code(right)) for left, right in definitions]
    printer = ArrayPrinter(dict(names or {}), dialect)
    needed = needed_definitions(definitions, results)
    body = list(lines)
    for left, right in needed:
        body.append(
            f"{', '.join(map(str, bound(left)))} = {right if isinstance(right, str) else printer.doprint(right)}"
        )
    taken = {*arguments, *(str(symbol) for left, _ in needed for symbol in bound(left))}
    sums = set().union(*(result.atoms(sp.Sum) for result in results)) - set(results)
    ordered = sorted(sums, key=lambda e: (sp.count_ops(e), str(e)))
    for summation, label in names_of_sums(ordered, printer.doprint, taken).items():
        body.append(f"{label} = {printer.doprint(summation)}")
        printer.names[summation] = label
    body.append("return " + ", ".join(printer.doprint(result) for result in results))
    if any("xp." in line for line in body):
        body.insert(0, f"xp = {arguments[0]}.__array_namespace__()")
    head = broken(f"def {name}({', '.join(arguments)}):")
    return "\n".join([head, indent(_docstring(doc), INDENT), *(broken(spaced(line), INDENT) for line in body), ""])


def _docstring(doc: str) -> str:
    summary, *others = doc.strip().split("\n\n")
    filled = [fill(paragraph, WIDTH - len(INDENT)) for paragraph in others]
    return '"""' + "\n\n".join([summary, *filled]) + "\n" * bool(filled) + '"""'


def _in_code(expression: sp.Basic) -> sp.Basic:
    """Return an expression in terms of the arrays that code takes; an array has no index."""
    return moments.without_index(expression).subs(EXCESS)


def needed_definitions(definitions: Iterable[Definition], results: Iterable[sp.Basic]) -> list[Definition]:
    """Return the definitions that the results use directly or through other definitions; their order is unchanged."""
    used = used_symbols(*results)
    needed: list[Definition] = []
    for left, right in reversed(list(definitions)):
        if used.intersection(bound(left)):
            needed.insert(0, (left, right))
            used |= set() if isinstance(right, str) else used_symbols(right)
    return needed


def bound(left: sp.Basic) -> list[sp.Basic]:
    """Return the symbols that a definition defines: several symbols if the left side of the definition is a tuple."""
    symbols = left.args if isinstance(left, sp.Tuple) else (left,)
    return [symbol.base if isinstance(symbol, sp.Indexed) else symbol for symbol in symbols]


def used_symbols(*expressions: sp.Basic) -> set[sp.Basic]:
    """Return the symbols, the bases of indexed symbols, and the matrices in expressions; indices are left out."""
    atoms = set().union(*(e.atoms(sp.Symbol, sp.IndexedBase, sp.MatrixSymbol) for e in expressions))
    return {atom for atom in atoms if not (isinstance(atom, sp.Symbol) and atom.is_integer)}
