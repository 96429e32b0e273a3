"""Break long lines of generated code inside brackets, as formatters do."""

import re

WIDTH = 120
INDENT = "    "
SHORT = 20  # brackets with at most this number of characters are not broken
OPERATORS = (r"(?<=,) ", r" (?=[+-] )", r" (?=[*/@] )")  # operators at which lines break; the weakest comes first


def broken(statement: str, indent: str = "") -> str:
    """Break a statement inside its brackets into lines of at most WIDTH characters.

    A line that has no bracket or operator at which it can be broken stays longer.
    """
    if len(indent + statement) <= WIDTH:
        return indent + statement
    start = re.match(r"return |[\w, ]+ = |\w+=|from [\w.]+ import |[+*/@-] ", statement)
    head = start[0] if start else ""
    expression = statement[len(head) :]
    return _broken(indent, head, expression.removesuffix(","), "," * expression.endswith(","))


def _broken(indent: str, head: str, expression: str, tail: str) -> str:
    """Break the statement head + expression + tail into lines, at operators or brackets of the expression.

    head: the start of the statement, such as "return " or "x = ". tail: the end of the statement, "" or a comma. A
    sum or tuple is broken at its weakest operator, which is evaluated last. A product is broken within its longest
    bracket if this bracket is long enough, and otherwise at its operators.
    """
    if any(len(_split(expression, operator)) > 1 for operator in OPERATORS[:2]):
        return _bracketed(indent, f"{head}(", expression, f"){tail}")
    first, last = _longest_bracket(expression)
    before, behind = len(indent + head) + first, len(indent + tail) + len(expression) - last
    if last - first > SHORT and max(before, behind) < WIDTH - SHORT:
        return _bracketed(
            indent, head + expression[: first + 1], expression[first + 1 : last], expression[last:] + tail
        )
    if len(_split(expression, OPERATORS[2])) > 1:
        return _bracketed(indent, f"{head}(", expression, f"){tail}")
    return indent + head + expression + tail


def _bracketed(indent: str, head: str, inside: str, tail: str) -> str:
    """Put the content of a bracket on one line; if this line is too long, break the content as ``_parts`` splits it.

    head and tail: the code before and after the content, which include the bracket itself.
    """
    parts = [inside] if len(indent + INDENT + inside) <= WIDTH else _parts(inside)
    return "\n".join([indent + head, *(broken(part, indent + INDENT) for part in parts), indent + tail])


def _parts(inside: str) -> list[str]:
    """Split the content of a bracket at its commas; if it has no commas, split it at its weakest operator.

    Each comma stays at the end of the part before it.
    """
    parts = _split(inside, OPERATORS[0])
    if len(parts) > 1 or inside.endswith(","):
        return [part if part.endswith(",") else f"{part}," for part in parts]
    return next((parts for operator in OPERATORS[1:] if len(parts := _split(inside, operator)) > 1), [inside])


def _split(text: str, operator: str) -> list[str]:
    """Split a text at each occurrence of an operator outside brackets and strings."""
    depths, parts, start = _depths(text), [], 0
    for match in re.finditer(operator, text):
        if depths[match.start()] == 0:
            parts.append(text[start : match.start()])
            start = match.end()
    return [*parts, text[start:]]


def _depths(text: str) -> list[int]:
    """Return the number of brackets around each character of a text; a string counts as one more bracket."""
    depths, depth, quoted, escaped = [], 0, False, False
    for character in text:
        if quoted:
            quoted, escaped = escaped or character != '"', character == "\\" and not escaped
        elif character == '"':
            quoted = True
        else:
            depth += (character in "([{") - (character in ")]}")
        depths.append(depth + quoted)
    return depths


def _longest_bracket(text: str) -> tuple[int, int]:
    """Return the positions at which the longest bracket of a text opens and closes; (0, 0) if there is none."""
    depths, opened, longest = _depths(text), 0, (0, 0)
    for i, character in enumerate(text):
        if character in "([{" and depths[i] == 1 and (i == 0 or depths[i - 1] == 0):
            opened = i
        elif character in ")]}" and depths[i] == 0 and i - opened > longest[1] - longest[0]:
            longest = (opened, i)
    return longest
