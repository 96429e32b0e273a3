"""The command line ``ssl-dynamics`` with all its commands; each of them calls a function of ``dynamics``.

Libraries are imported when a command runs, so that ``--help`` is quick.
"""

from dynamics.cli import analyses, documents, results, runs  # they add their commands to ``main``
from dynamics.cli.group import main

__all__ = ["analyses", "documents", "main", "results", "runs"]
