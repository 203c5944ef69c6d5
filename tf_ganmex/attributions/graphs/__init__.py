"""A classifier's frozen graph: parts of it, and others that compute the same in less time."""
