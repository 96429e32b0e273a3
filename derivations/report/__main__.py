"""Write ``docs/derivations``: the derivation of each loss of the catalogue, step by step.

``python -m derivations.report`` writes the files. With ``--check`` the command writes nothing, and fails if the files
in the folder are out of date.
"""

import sys

from derivations.codegen import folder
from derivations.report.documents import FOLDER, documents

if __name__ == "__main__":
    sys.exit(folder.main("python -m derivations.report", __doc__ or "", FOLDER, documents))
