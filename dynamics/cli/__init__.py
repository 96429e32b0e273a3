"""The command line: one command for each public function.

May import everything.
"""
