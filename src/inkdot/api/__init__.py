"""The Python interface for notebooks and scripts. Its names are reached as ``inkdot.<name>``.

It calls the functions that the commands call and returns pandas, Arrow, NumPy and Pillow objects.
"""
