"""Write the source of one function of arrays: definitions, named sums over modes, results."""

import sympy as sp

from derivations.printers.array_code import ARRAY, ArrayPrinter, spaced


def function(
    name: str, arguments: list[str], doc: str, results: list, definitions=(), names=None, dialect=ARRAY
) -> str:
    """Source of ``def name(arguments)``: the definitions the results need, each sum under a name, the results.

    names: expressions that have code of their own. dialect: what things are called, ``xp`` being the first argument's.
    """
    definitions = _needed(list(definitions), results)
    printer = ArrayPrinter(dict(names or {}), dialect)
    lines = [f"{', '.join(map(str, _bound(left)))} = {printer.doprint(right)}" for left, right in definitions]
    sums = set().union(*(result.atoms(sp.Sum) for result in results)) - set(results)
    for number, summation in enumerate(sorted(sums, key=lambda e: (sp.count_ops(e), str(e))), 1):
        lines.append(f"total{number} = {printer.doprint(summation)}")
        printer.names[summation] = f"total{number}"
    lines.append("return " + ", ".join(printer.doprint(result) for result in results))
    if any("xp." in line for line in lines):
        lines.insert(0, f"xp = {arguments[0]}.__array_namespace__()")
    body = "\n".join(f"    {spaced(line)}" for line in lines)
    return f'def {name}({", ".join(arguments)}):\n    """{doc}"""\n{body}\n'


def _needed(definitions: list[tuple], results: list[sp.Expr]) -> list[tuple]:
    """The definitions that the results use, directly or through another one, in the given order."""
    used = set().union(*(_bases(result) for result in results))
    kept: list[tuple] = []
    for left, right in reversed(definitions):
        if used.intersection(_bound(left)):
            kept.insert(0, (left, right))
            used |= _bases(right)
    return kept


def _bound(left: sp.Basic) -> list[sp.Basic]:
    """The names that a definition's left side binds: several where its value is a tuple."""
    symbols = left.args if isinstance(left, sp.Tuple) else (left,)
    return [symbol.base if isinstance(symbol, sp.Indexed) else symbol for symbol in symbols]


def _bases(expression: sp.Expr) -> set:
    symbols = {a for a in expression.atoms(sp.Symbol) if not a.is_integer}
    return expression.atoms(sp.IndexedBase, sp.MatrixSymbol) | symbols
