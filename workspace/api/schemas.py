"""Shapes of answers that no serializer makes, for the OpenAPI schema."""

from __future__ import annotations

from typing import Any

TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "string", "nullable": True, "description": "Exact decimal."}
MOMENT: dict[str, Any] = {"type": "string", "format": "date-time", "nullable": True}
DAY: dict[str, Any] = {"type": "string", "format": "date"}


def list_of(item: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an unpaged list."""
    return {
        "type": "object",
        "required": ["results"],
        "properties": {"results": {"type": "array", "items": item}},
    }


HEALTH: dict[str, Any] = {
    "type": "object",
    "properties": {
        "score": NUMBER,
        "band": TEXT,
        "coverage": NUMBER,
        "oldest_signal_at": MOMENT,
        "computed_at": MOMENT,
        "checked_at": MOMENT,
        "scorecard": {"type": "string", "nullable": True},
        "version": {"type": "integer", "nullable": True},
        "change_7d": NUMBER,
        "trend_30d": NUMBER,
        "measures": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "key": TEXT,
                    "label": TEXT,
                    "raw": NUMBER,
                    "unit": TEXT,
                    "points": NUMBER,
                    "weight": NUMBER,
                    "weight_used": NUMBER,
                    "observed_at": MOMENT,
                    "state": {"type": "string", "enum": ["used", "missing", "stale"]},
                    "effect": NUMBER,
                    "words": TEXT,
                },
            },
        },
        "override": {"type": "object", "nullable": True},
    },
}

HEALTH_CHANGE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "day": {"type": "string", "format": "date"},
        "computed_at": MOMENT,
        "is_backfilled": {"type": "boolean"},
        "score": NUMBER,
        "band": TEXT,
        "coverage": NUMBER,
        "oldest_signal_at": MOMENT,
        "scorecard": TEXT,
        "version": {"type": "integer"},
        "change": NUMBER,
        "words": TEXT,
        "drivers": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "key": TEXT,
                    "label": TEXT,
                    "cause": TEXT,
                    "points_before": NUMBER,
                    "points_after": NUMBER,
                    "effect": NUMBER,
                    "words": TEXT,
                },
            },
        },
    },
}
