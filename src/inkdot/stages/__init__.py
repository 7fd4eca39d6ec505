"""One file per verb of the command line: what a person asked for, told top to bottom."""
