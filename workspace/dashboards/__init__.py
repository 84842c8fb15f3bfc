"""Dashboards: boards of numbers on one subject, for the days and accounts somebody chooses.

    answered = answer_dashboard("executive", user=user, period=period, filters=filters)
    for section in answered.sections: section.tiles, section.cards

A board is declared in `catalogue`; `answering` works one out without a request, so that a page,
a file and a mail show the same. Every figure is an answer of `metrics.kpis`, and leads to the
page of its KPI with the same days and filters.
"""
