"""The command ``lookalike``: one file per group of commands, only parsing and printing."""
