"""Reading and writing of the tables between stages."""
