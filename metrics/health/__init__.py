"""Health: signals → points → score, for many accounts in a few statements.

signals.py     what is measured, how, and how it is said in words
curves.py      a raw signal becomes 0 to 100 points
scorecards.py  which measures count how much for whom; versions
scores.py      the pass: works out and stores the scores of all accounts, or of those due
decomposition.py  a score, and a change of score, taken apart exactly
reasons.py     what pages and the API ask: why this score, and why did it move

All figures are whole hundredths (of a point, a per cent, a day) in 64-bit integers, in the
database and in Python alike. PostgreSQL and SQLite therefore give the same score to the last
digit, and a score worked out again is never another by rounding.
"""
