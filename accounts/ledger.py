"""Keeps the revenue ledger and the copies made from it.

`derive` compares what the subscriptions say with what the ledger says and appends the
difference: a movement that later facts proved wrong is taken back by a row of its own, never
edited. Movements that were imported as they are stay untouched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import (
    Case,
    DecimalField,
    Exists,
    F,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.bulk import insert_rows, update_rows
from accounts.calculations import ZERO, History, Line, Move, Terms, account_history, state_of
from accounts.due import mark_due
from accounts.fields import EARLIEST
from accounts.models import (
    Account,
    AccountTrait,
    ExchangeRate,
    Movement,
    MovementQuerySet,
    Plan,
    Renewal,
    Subscription,
    SubscriptionTerms,
)
from csplatform.periods import day_of

BATCH = 2_000
DAY = timedelta(days=1)

_Key = tuple[int, date, str]
_Content = tuple[str, str, int | None]


@dataclass
class Derived:
    """How many rows a derivation appended."""

    appended: int = 0
    reversed: int = 0


def in_batches(ids: Iterable[int]) -> Iterator[list[int]]:
    ordered = sorted(set(ids))
    for at in range(0, len(ordered), BATCH):
        yield ordered[at : at + BATCH]


def derive(account_ids: Iterable[int], *, recorded_at: datetime | None = None) -> Derived:
    """Bring the ledger of these accounts in line with their subscriptions and terms.

    Run again it appends nothing. `recorded_at` is when we learned the facts, now by default.
    Also keeps plan history, open renewals and the copies on accounts and subscriptions.
    """
    done = Derived()
    for ids in in_batches(account_ids):
        with transaction.atomic():
            _derive_batch(ids, recorded_at or timezone.now(), done)
    return done


def _derive_batch(ids: Sequence[int], recorded_at: datetime, done: Derived) -> None:
    # One derivation of an account at a time: two would each append the same difference.
    accounts = list(Account.objects.select_for_update().filter(pk__in=ids).order_by("pk"))
    lines_by_account = _lines(ids)
    histories: dict[int, History] = {}
    for account in accounts:
        by_hand = (account.customer_from, account.customer_until) if account.customer_from else None
        histories[account.pk] = account_history(lines_by_account.get(account.pk, []), by_hand=by_hand)
    _append_differences(ids, histories, recorded_at, done)
    _keep_plan_history(ids, histories, recorded_at)
    _keep_renewals(ids, lines_by_account, recorded_at)
    refresh_copies(ids, day=day_of(timezone.now()), lines_by_account=lines_by_account)


def _lines(ids: Sequence[int]) -> dict[int, list[Line]]:
    subscriptions = list(
        Subscription.objects.filter(account__in=ids).exclude(kind=Subscription.Kind.TRIAL).order_by("pk")
    )
    plans = {plan.pk: plan for plan in Plan.objects.select_related("product")}
    terms: dict[int, list[Terms]] = defaultdict(list)
    rows = SubscriptionTerms.objects.filter(subscription__account__in=ids).order_by(
        "subscription", "effective_on", "recorded_at", "pk"
    )
    for row in rows.iterator():
        plan = plans.get(row.plan_id) if row.plan_id else None
        terms[row.subscription_id].append(
            Terms(
                effective_on=row.effective_on,
                plan=plan.code if plan else "",
                product=plan.product.code if plan else "",
                level=plan.level if plan else 0,
                quantity=row.quantity,
                unit_price=row.unit_price,
                currency=row.currency,
                interval=row.interval,
                interval_count=row.interval_count,
                discount_percent=row.discount_percent,
                discount_amount=row.discount_amount,
                discount_ends_on=row.discount_ends_on,
                is_paused=row.is_paused,
            )
        )
    found: dict[int, list[Line]] = defaultdict(list)
    for subscription in subscriptions:
        found[subscription.account_id].append(
            Line(
                id=subscription.pk,
                starts_on=subscription.starts_on,
                ends_on=subscription.ends_on,
                terms=terms[subscription.pk],
                is_addon=subscription.kind == Subscription.Kind.ADDON,
            )
        )
    return found


def _append_differences(
    ids: Sequence[int], histories: dict[int, History], recorded_at: datetime, done: Derived
) -> None:
    known: dict[_Key, dict[_Content, tuple[Decimal, int]]] = defaultdict(dict)
    nets = (
        Movement.objects.filter(account__in=ids, origin=Movement.Origin.DERIVED)
        .values("account_id", "effective_on", "currency", "kind", "sub_kind", "subscription_id")
        .annotate(net=Sum("delta"), heads=Sum("customers"))
        .order_by()
    )
    for row in nets:
        if row["net"] or row["heads"]:
            key = (row["account_id"], row["effective_on"], row["currency"])
            content = (row["kind"], row["sub_kind"], row["subscription_id"])
            known[key][content] = (row["net"], row["heads"])

    wanted: dict[_Key, Move] = {}
    for account_id, history in histories.items():
        for move in history.moves:
            currency = move.currency or settings.REPORTING_CURRENCY
            wanted[(account_id, move.effective_on, currency)] = move

    rows: list[Movement] = []
    for key in sorted(known.keys() | wanted.keys()):
        account_id, effective_on, currency = key
        right = wanted.get(key)
        is_right = False
        for (kind, sub_kind, line), (net, heads) in known.get(key, {}).items():
            if right is not None and (kind, sub_kind, line, net, heads) == (
                right.kind,
                right.sub_kind,
                right.line,
                right.delta,
                right.customers,
            ):
                is_right = True
                continue
            done.reversed += 1
            rows.append(
                Movement(
                    account_id=account_id,
                    subscription_id=line,
                    effective_on=effective_on,
                    recorded_at=recorded_at,
                    kind=kind,
                    sub_kind=sub_kind,
                    currency=currency,
                    delta=-net,
                    customers=-heads,
                    is_reversal=True,
                )
            )
        if right is not None and not is_right:
            done.appended += 1
            rows.append(
                Movement(
                    account_id=account_id,
                    subscription_id=right.line,
                    effective_on=effective_on,
                    recorded_at=recorded_at,
                    kind=right.kind,
                    sub_kind=right.sub_kind,
                    currency=currency,
                    delta=right.delta,
                    customers=right.customers,
                )
            )
    insert_rows(Movement, rows)


def _keep_plan_history(ids: Sequence[int], histories: dict[int, History], recorded_at: datetime) -> None:
    """Rewrite the plan spells that changed; the first reaches back to 1900."""
    known: dict[int, list[tuple[date, date | None, str]]] = defaultdict(list)
    spells = AccountTrait.objects.filter(account__in=ids, kind=AccountTrait.Kind.PLAN).order_by("starts_on")
    for spell in spells:
        known[spell.account_id].append((spell.starts_on, spell.ends_on, spell.value))
    wrong: list[int] = []
    rows: list[AccountTrait] = []
    for account_id, history in histories.items():
        wanted: list[tuple[date, date | None, str]] = []
        for number, (day, plan) in enumerate(history.plans):
            last = history.plans[number + 1][0] - DAY if number + 1 < len(history.plans) else None
            wanted.append((EARLIEST if number == 0 else day, last, plan))
        if wanted != known.get(account_id, []):
            wrong.append(account_id)
            rows += [
                AccountTrait(
                    account_id=account_id,
                    kind=AccountTrait.Kind.PLAN,
                    value=plan,
                    starts_on=starts_on,
                    ends_on=ends_on,
                    recorded_at=recorded_at,
                )
                for starts_on, ends_on, plan in wanted
            ]
    AccountTrait.objects.filter(account__in=wrong, kind=AccountTrait.Kind.PLAN).delete()
    insert_rows(AccountTrait, rows)


def _keep_renewals(
    ids: Sequence[int], lines_by_account: dict[int, list[Line]], recorded_at: datetime
) -> None:
    """Open a renewal for each running term, and decide the ones whose term was passed or lost.

    A line that ends on the last day of its term, or before, was lost. A term end that moved
    on was renewed, at the MRR of the day after.
    """
    lines = {line.id: line for found in lines_by_account.values() for line in found}
    subscriptions = {s.pk: s for s in Subscription.objects.filter(account__in=ids) if s.pk in lines}
    renewals = list(Renewal.objects.filter(subscription__in=list(subscriptions)))
    due_of = {(r.subscription_id, r.due_on) for r in renewals}

    def mrr_on(line: Line, day: date) -> Decimal:
        state = state_of(line, day)
        return state.mrr + state.paused_mrr if state else ZERO

    new: list[Renewal] = []
    for subscription in subscriptions.values():
        due_on = subscription.term_ends_on
        if due_on is None or (subscription.pk, due_on) in due_of:
            continue
        line = lines[subscription.pk]
        last = due_on if line.ends_on is None else min(due_on, line.ends_on)
        state = state_of(line, last)
        renewal = Renewal(
            account_id=subscription.account_id,
            subscription_id=subscription.pk,
            due_on=due_on,
            due_value=mrr_on(line, last),
            currency=state.currency if state else subscription.currency,
            recorded_at=recorded_at,
        )
        new.append(renewal)
    changed: list[Renewal] = []
    for renewal in renewals + new:
        line = lines[renewal.subscription_id]
        subscription = subscriptions[renewal.subscription_id]
        outcome, value = Renewal.Outcome.OPEN, None
        if line.ends_on is not None and line.ends_on <= renewal.due_on:
            outcome, value = Renewal.Outcome.LOST, ZERO
        elif subscription.term_ends_on is None or subscription.term_ends_on > renewal.due_on:
            value = mrr_on(line, renewal.due_on + DAY)
            outcome = (
                Renewal.Outcome.RENEWED
                if value == renewal.due_value
                else Renewal.Outcome.SMALLER
                if value < renewal.due_value
                else Renewal.Outcome.LARGER
            )
        if (renewal.outcome, renewal.renewed_value) != (outcome, value):
            renewal.outcome, renewal.renewed_value = outcome, value
            renewal.decided_at = None if outcome == Renewal.Outcome.OPEN else recorded_at
            if renewal.pk:
                changed.append(renewal)
    insert_rows(Renewal, new)
    update_rows(changed, ["outcome", "renewed_value", "decided_at"])


def _rates_on(day: date) -> dict[str, Decimal]:
    """Return what one unit of each currency is worth on `day`; currencies without a rate are left out."""
    rates = {settings.REPORTING_CURRENCY: Decimal(1)}
    for row in ExchangeRate.objects.filter(starts_on__lte=day).in_order():
        rates[row.currency] = row.rate
    return rates


def refresh_copies(
    account_ids: Sequence[int], *, day: date, lines_by_account: dict[int, list[Line]] | None = None
) -> None:
    """Copy what the ledger and the terms say about `day` onto accounts and subscriptions.

    A night's job too: a term that began or ended at midnight moves them without any new fact.
    """
    if lines_by_account is None:
        lines_by_account = _lines(account_ids)
    _refresh_subscriptions(account_ids, lines_by_account, day)

    movements = Movement.objects.filter(account=OuterRef("pk"), effective_on__lte=day).order_by()
    heads_by_day = movements.values("effective_on").annotate(heads=Sum("customers"))
    joined_on = heads_by_day.filter(heads__gt=0).order_by("effective_on").values("effective_on")[:1]
    left_on = heads_by_day.filter(heads__lt=0).order_by("-effective_on").values("effective_on")[:1]
    heads = movements.values("account").annotate(heads=Sum("customers")).values("heads")
    plan = AccountTrait.objects.filter(
        Q(ends_on__isnull=True) | Q(ends_on__gte=day),
        account=OuterRef("pk"),
        kind=AccountTrait.Kind.PLAN,
        starts_on__lte=day,
    ).annotate(plan=Subquery(Plan.objects.filter(code=OuterRef("value")).values("pk")))
    next_term_end = (
        Subscription.objects.in_force(day)
        .filter(account=OuterRef("pk"), term_ends_on__gte=day)
        .exclude(kind=Subscription.Kind.TRIAL)
        .order_by("term_ends_on")
        .values("term_ends_on")[:1]
    )
    is_customer = Case(When(heads_now__gt=0, then=True), default=False)
    (
        Account.objects.filter(pk__in=account_ids)
        .annotate(heads_now=Coalesce(Subquery(heads), 0))
        .update(
            mrr=_mrr_in_reporting_currency(movements, day),
            is_customer=is_customer,
            plan=Subquery(plan.values("plan")[:1]),
            renews_on=Subquery(next_term_end),
            joined_on=Subquery(joined_on),
            left_on=Case(When(heads_now__gt=0, then=None), default=Subquery(left_on)),
        )
    )


def refresh_mrr(currency: str, *, day: date) -> int:
    """Copy the MRR of `day` anew onto the accounts with revenue in a currency whose rate changed."""
    movements = Movement.objects.filter(account=OuterRef("pk"), effective_on__lte=day).order_by()
    concerned = Account.objects.filter(movements__currency=currency).order_by("pk").distinct()
    done = 0
    for batch in in_batches(concerned.values_list("pk", flat=True).iterator(chunk_size=BATCH)):
        with transaction.atomic():
            Account.objects.filter(pk__in=batch).update(mrr=_mrr_in_reporting_currency(movements, day))
            mark_due(batch)
        done += len(batch)
    return done


def _mrr_in_reporting_currency(movements: MovementQuerySet, day: date) -> Case:
    """Return an account's MRR at the rates of `day`; null where a rate is missing, never a wrong sum."""
    rates = _rates_on(day)
    amount = DecimalField(max_digits=30, decimal_places=6)
    in_reporting = Case(
        *[When(currency=currency, then=F("delta") * Value(rate)) for currency, rate in rates.items()],
        output_field=amount,
    )
    total = movements.values("account").annotate(total=Sum(in_reporting)).values("total")
    lacks_rate = movements.exclude(currency__in=list(rates)).exclude(delta=0)
    return Case(
        When(Exists(lacks_rate), then=None),
        default=Coalesce(Subquery(total), ZERO, output_field=amount),
        output_field=amount,
    )


def _refresh_subscriptions(
    account_ids: Sequence[int], lines_by_account: dict[int, list[Line]], day: date
) -> None:
    """Copy the terms in force on `day` onto the subscriptions that differ from them."""
    lines = {line.id: line for found in lines_by_account.values() for line in found}
    plan_of = dict(Plan.objects.values_list("code", "pk"))
    changed: list[Subscription] = []
    for subscription in Subscription.objects.filter(account__in=account_ids):
        line = lines.get(subscription.pk)
        if line is None or not line.terms:
            continue
        is_over = line.ends_on is not None and line.ends_on < day
        shown_on = max(min(day, line.ends_on or day), line.starts_on)
        state = state_of(line, shown_on)
        if state is None:
            continue
        status = (
            Subscription.Status.CANCELLED
            if is_over
            else Subscription.Status.PAUSED
            if state.paused_mrr
            else Subscription.Status.ACTIVE
        )
        is_in_force = line.starts_on <= day and not is_over
        wanted = {
            "plan_id": plan_of.get(state.plan),
            "quantity": state.quantity,
            "unit_price": _unit_price(line, shown_on),
            "currency": state.currency,
            "status": status,
            "mrr": state.mrr if is_in_force else ZERO,
        }
        if any(getattr(subscription, name) != value for name, value in wanted.items()):
            for name, value in wanted.items():
                setattr(subscription, name, value)
            changed.append(subscription)
    update_rows(changed, ["plan", "quantity", "unit_price", "currency", "status", "mrr"])


def _unit_price(line: Line, day: date) -> Decimal:
    terms = [t for t in line.terms if t.effective_on <= day] or list(line.terms)
    return max(terms, key=lambda t: t.effective_on).unit_price


def refresh_all_copies(*, day: date) -> int:
    """Refresh every account's copies for `day`, batch by batch; return how many there were."""
    done = 0
    ids = Account.objects.order_by("pk").values_list("pk", flat=True)
    for batch in in_batches(ids.iterator(chunk_size=BATCH)):
        with transaction.atomic():
            refresh_copies(batch, day=day)
        done += len(batch)
    return done


def record_traits(
    values: dict[int, dict[str, str]], *, on: date, recorded_at: datetime | None = None
) -> None:
    """Keep the history of segments and lifecycle stages: `values` is {account: {kind: value}}.

    The first value of an account reaches back to 1900; a later one ends the one before it on
    the day before `on`. A second change on the same day replaces the first.
    """
    moment = recorded_at or timezone.now()
    spells: dict[tuple[int, str], AccountTrait] = {}
    open_spells = AccountTrait.objects.filter(account__in=list(values), ends_on__isnull=True)
    for spell in open_spells.exclude(kind=AccountTrait.Kind.PLAN):
        spells[(spell.account_id, spell.kind)] = spell
    changed: list[AccountTrait] = []
    new: list[AccountTrait] = []
    for account_id, kinds in values.items():
        for kind, value in kinds.items():
            known = spells.get((account_id, kind))
            if known is not None and known.value == value:
                continue
            if known is not None and known.starts_on >= on:
                known.value = value
                changed.append(known)
                continue
            if known is not None:
                known.ends_on = on - DAY
                changed.append(known)
            new.append(
                AccountTrait(
                    account_id=account_id,
                    kind=kind,
                    value=value,
                    starts_on=EARLIEST if known is None else on,
                    recorded_at=moment,
                )
            )
    update_rows(changed, ["value", "ends_on"])
    insert_rows(AccountTrait, new)
