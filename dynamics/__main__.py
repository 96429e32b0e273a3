"""``python -m dynamics`` is ``ssl-dynamics``."""

from dynamics.cli.commands import main

main(prog_name="ssl-dynamics")
