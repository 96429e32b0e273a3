"""A trajectory of every kind."""

import pytest

from tests.results.makers import MAKERS, made


@pytest.fixture(params=MAKERS)
def result(request):
    return made(request.param)
