"""Which cases of a test belong to the quick suite."""

import pytest


def parametrize(names, cases, quick, **options):
    """``pytest.mark.parametrize``, with every case that is not in ``quick`` marked ``long``.

    The quick suite has a few cases of each kind, ``make test-all`` has them all.
    """
    cases, quick = list(cases), list(quick)
    assert quick and all(case in cases for case in quick), "quick cases are some of all cases"
    alone = isinstance(names, str) and "," not in names
    return pytest.mark.parametrize(names, [_marked(case, case in quick, alone) for case in cases], **options)


def _marked(case, is_quick, alone):
    """``case`` as ``pytest.param``, with the mark ``long`` unless it is quick."""
    marks = [] if is_quick else [pytest.mark.long]
    if isinstance(case, type(pytest.param())):
        return pytest.param(*case.values, id=case.id, marks=[*case.marks, *marks])
    return pytest.param(*([case] if alone else case), marks=marks)
