"""Models of a whole case: slide scores, counts and measurements beside the columns of the case, in one small regression."""
