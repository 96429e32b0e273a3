"""Write ``dynamics/generated``: one module per loss of the catalogue, with everything derived about it.

``python -m derivations.codegen`` writes, ``--check`` writes nothing and fails where the files differ.
"""

import sys

from derivations.codegen import folder
from derivations.codegen.generated import GENERATED, files

if __name__ == "__main__":
    sys.exit(folder.main("python -m derivations.codegen", __doc__ or "", GENERATED, files))
