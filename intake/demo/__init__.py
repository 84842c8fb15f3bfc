"""A company that does not exist, so that every page can be tried with data worth looking at.

It sells two products for planning crews and visits. Its customers, two years of them, each
live one of a few stories whose parts agree: usage, tickets, answers, touches and money tell
the same thing, the signs before the outcome. The same seed and date give the same facts.
"""
