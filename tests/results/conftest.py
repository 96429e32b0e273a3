"""A trajectory of every kind."""

import pytest

from tests.results.makers import MAKERS


@pytest.fixture(params=MAKERS)
def result(request):
    return MAKERS[request.param]()
