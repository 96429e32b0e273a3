"""The command line ``ssl-dynamics``: options (from the descriptions of a model's options), parsing, output, commands.

The top package: it may import everything, and does so when a command runs.
"""
