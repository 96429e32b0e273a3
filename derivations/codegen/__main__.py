"""Write ``dynamics/generated``: one module per loss of the catalogue, with all that is derived for this loss.

``python -m derivations.codegen`` writes the files. With ``--check`` the command writes nothing, and fails if the files
in the folder are out of date.
"""

import sys

from derivations.codegen import folder
from derivations.codegen.generated import GENERATED, files

if __name__ == "__main__":
    sys.exit(folder.main("python -m derivations.codegen", __doc__ or "", GENERATED, files))
