"""``python -m dynamics`` is ``ssl-dynamics``."""

from dynamics.cli import main

main(prog_name="ssl-dynamics")
