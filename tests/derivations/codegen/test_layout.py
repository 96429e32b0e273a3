"""Long lines of generated code: broken inside brackets, with the same meaning."""

import ast

import pytest

from derivations.codegen.layout import WIDTH, broken

LONG = " + ".join(f"a{i} * b{i} / (c{i} - d{i})" for i in range(12))
STATEMENTS = {
    "sum": f"value = {LONG}",
    "product with a bracket": f"value = 4 * x * ({LONG}) / y",
    "product without a long bracket": "value = " + " * ".join(f"factor_{i}(x)" for i in range(20)),
    "nested brackets": f"value = -z * (f({LONG}) - g({LONG})) / (2 * ({LONG}))",
    "tuple": f"value = {', '.join(f'name_{i} + 1' for i in range(20))}",
    "call": f"value = call({', '.join(f'argument_{i}=({i},)' for i in range(20))})",
    "lambda in a call": f"value = predict(z1, lambda lam: {LONG.replace('a1 ', 'lam ')})",
    "import": f"from package.module import {', '.join(f'Name{i}' for i in range(30))}",
    "definition": f"def f({', '.join(f'argument_{i}' for i in range(20))}):",
    "text with operators and brackets": f'value = call(text="({"a + b, " * 5}", sum={LONG})',
}


@pytest.mark.parametrize("name", STATEMENTS)
@pytest.mark.parametrize("indent", ["", "    "])
def test_broken_lines_are_short_and_mean_the_same(name, indent):
    statement = STATEMENTS[name]
    lines = broken(statement, indent).splitlines()
    body = f"\n{indent}    pass" if statement.startswith("def") else ""
    code, expected = "\n".join(lines) + body, indent + statement + body
    if indent:
        code, expected = f"if True:\n{code}", f"if True:\n{expected}"
    assert ast.dump(ast.parse(code)) == ast.dump(ast.parse(expected))
    assert len(lines) > 1
    assert max(map(len, lines)) <= WIDTH


def test_a_short_statement_stays_on_one_line():
    assert broken("value = a + b", "    ") == "    value = a + b"
