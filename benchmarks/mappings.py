"""How the files of benchmarks/files.py are read; guessing is not part of the measurement."""

from typing import Any

MAPPINGS: dict[str, dict[str, Any]] = {
    "accounts": {
        "kind": "accounts",
        "fields": {
            "external_id": "id",
            "name": "name",
            "segment": "segment",
            "industry": "industry",
            "region": "region",
            "country": "country",
            "lifecycle_stage": "stage",
            "website": "website",
            "currency": "currency",
        },
    },
    "subscriptions": {
        "kind": "subscriptions",
        "create": ["plans"],
        "fields": {
            "external_id": "id",
            "account": "account id",
            "plan": "plan",
            "starts_on": "start date",
            "term_ends_on": "renewal date",
            "ends_on": "end date",
            "quantity": "seats",
            "unit_price": "price",
            "currency": "currency",
            "interval": {"constant": "month"},
        },
    },
    "usage-events": {
        "kind": "usage-events",
        "fields": {
            "external_id": "message id",
            "account": "account id",
            "end_user": "user id",
            "feature": "event",
            "happened_at": "timestamp",
        },
    },
}
