"""From scores to calls: the operating point, the abstention band and the calls of further heads."""
