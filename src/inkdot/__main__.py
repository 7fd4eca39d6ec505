"""``python -m inkdot``: the command line, for an environment whose programs are not on the PATH."""

from inkdot.cli import main

if __name__ == "__main__":
    main()
