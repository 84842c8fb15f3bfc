"""The log of changed facts, which stored figures are kept right by."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q


class FactChange(models.Model):
    """Facts of one table changed that speak about these months.

    Written by triggers (accounts.changes), in the transaction that changed the facts; read and
    deleted by whoever keeps something that was worked out from them.
    """

    source = models.CharField(max_length=63, help_text="The table.")
    first_on = models.DateField(help_text="First day of the first month that the facts speak about.")
    last_on = models.DateField(help_text="Last day of the last month.")
    logged_at = models.DateTimeField(help_text="When the transaction began that changed them.")
    written_in = models.BigIntegerField(help_text="That transaction; always 0 on SQLite.")

    class Meta:
        ordering = ["pk"]
        constraints = [
            # However many rows a transaction changes, each stretch of months is logged once. On
            # SQLite, which has one writer at a time, once until it is read.
            models.UniqueConstraint(
                fields=["written_in", "source", "first_on", "last_on"], name="accounts_factchange_once"
            ),
            models.CheckConstraint(
                name="accounts_factchange_days_in_order", condition=Q(last_on__gte=F("first_on"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.first_on} to {self.last_on}"
