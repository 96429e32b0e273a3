"""Write ``dynamics/generated``: one module per loss of the catalogue, with everything that is derived for it.

``python -m derivations.codegen`` writes the files; with ``--check`` it writes nothing and fails if files differ.
"""

import sys

from derivations.codegen import folder
from derivations.codegen.generated import GENERATED, files

if __name__ == "__main__":
    sys.exit(folder.main("python -m derivations.codegen", __doc__ or "", GENERATED, files))
