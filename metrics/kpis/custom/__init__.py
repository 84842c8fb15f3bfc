"""KPIs that an installation defines itself: a count or a sum of facts, or one divided by another.

    conditions   what can be asked of a field: operators, their values, words and SQL
    facts        what can be counted, and which fields of it; nothing else is ever reached
    definition   from a form or JSON to a checked definition, and from that to a `Kpi`
    published    those that everybody sees, as `metrics.kpis.KPIS` reads them
    keeping      saving a version, publishing, retiring

The result is the same `Kpi` as one of the code, so everything else follows by itself.
"""
