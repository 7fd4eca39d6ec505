"""Reader studies: who reads what, when and in which order, and the tables of what they answered."""
