"""The command line: ``ganmex demo | train-classifier | train | explain``.

Nothing here imports TensorFlow before a command runs, so that ``--help`` answers at once.
"""

from tf_ganmex.cli.main import main

__all__ = ["main"]
