"""Train a model: `inkdot train`, for people who look in scripts/. All options are the command's own."""

import sys

from inkdot.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["train"]
    main()
