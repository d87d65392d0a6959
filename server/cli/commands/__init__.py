"""Arguments and options of the commands: a function each, whose docstring is what ``--help`` says.

No postponed annotations here: typer reads them when the command line is built. Each function hands
over to the module that does the work and imports it only then, so that ``zuji --help`` and shell
completion load neither Arrow nor NumPy.
"""
