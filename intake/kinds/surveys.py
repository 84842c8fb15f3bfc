"""Answers that customers gave, in surveys run elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import Any

from accounts.bulk import insert_rows, update_rows
from intake.kinds.base import (
    Kind,
    Run,
    alive,
    attributes,
    natural_id,
    resolve_accounts,
    resolve_contacts,
    store,
)
from intake.kinds.customers import ACCOUNT_ID, ACCOUNT_NAME, EXTERNAL_ID
from intake.kinds.dealings import CONTACT
from intake.mapping import Parsed
from intake.values import Field
from surveys.models import Answer, Response, Survey

# Plain columns for the usual questions; a mapping's “answers” asks others, on other scales.
_SHORTHAND: dict[str, dict[str, Any]] = {
    "nps": {"kind": "nps", "scale_low": 0, "scale_high": 10, "positive_from": None},
    "csat": {"kind": "csat", "scale_low": 1, "scale_high": 5, "positive_from": 4},
    "ces": {"kind": "ces", "scale_low": 1, "scale_high": 7, "positive_from": None},
}
_ANSWER = ("score", "scale_low", "scale_high", "positive_from", "text")


class Responses(Kind):
    slug = "responses"
    label = "Survey responses"
    about = "One row for each time somebody answered; it may hold the answers to several questions."
    creates = ("accounts", "contacts", "surveys")
    custom_field = "attributes"
    has_answers = True
    fields = (
        EXTERNAL_ID,
        Field(
            name="survey",
            label="Survey",
            max_length=150,
            is_required=True,
            synonyms=("survey name", "campaign", "questionnaire"),
        ),
        ACCOUNT_ID,
        ACCOUNT_NAME,
        CONTACT,
        Field(
            name="given_at",
            label="When",
            type="moment",
            is_required=True,
            synonyms=("responded at", "submitted at", "date", "completed at", "answered at", "timestamp"),
        ),
        Field(name="language", label="Language", max_length=10, synonyms=("lang", "locale")),
        Field(name="state", label="State", type="choice", choices=tuple(Response.State.choices)),
        Field(
            name="nps",
            label="NPS, 0 to 10",
            type="integer",
            synonyms=("nps score", "likely to recommend", "recommend", "score"),
        ),
        Field(
            name="csat",
            label="CSAT, 1 to 5",
            type="integer",
            synonyms=("satisfaction", "csat score", "rating"),
        ),
        Field(name="ces", label="CES, 1 to 7", type="integer", synonyms=("effort", "ces score", "ease")),
        Field(
            name="comment",
            label="Comment",
            max_length=20_000,
            synonyms=("feedback", "text", "verbatim", "reason", "answer"),
        ),
    )

    def check_mapping(self, document: dict[str, Any]) -> list[tuple[str, str]]:
        if not document.get("answers") and not {*_SHORTHAND, "comment"} & set(document.get("fields", {})):
            return [("fields", "No answer is filled: map nps, csat, ces or comment, or list “answers”.")]
        return []

    def apply(self, rows: list[Parsed], run: Run) -> None:
        self._read_shorthand(rows)
        rows = resolve_accounts(alive(rows), run, is_required=False)
        rows = resolve_contacts(rows, run) if "contact" in run.mapped else rows
        rows = self._find_surveys(rows, run)
        for row in rows:
            row.values["external_id"] = row.values.get("external_id") or natural_id(
                row.values["survey"],
                row.values.get("account_id"),
                row.values.get("contact"),
                row.values["given_at"],
            )
        ids = {row.values["external_id"] for row in rows}
        existing: dict[Hashable, Any] = {
            one.external_id: one for one in Response.objects.filter(source=run.source, external_id__in=ids)
        }
        names = [name for name in ("given_at", "language", "state") if name in run.mapped and name != "state"]
        references = [
            name
            for name, mapped in (("account_id", {"account", "account_name"}), ("contact_id", {"contact"}))
            if mapped & run.mapped
        ]

        def wanted(row: Parsed) -> dict[str, Any]:
            values = attributes(Response, row.values, [*names, *references])
            values["survey_id"] = row.values["survey_id"]
            if row.values.get("state"):
                values["state"] = row.values["state"]
            if "attributes" in row.values:
                values["attributes"] = row.values["attributes"]
            return values

        stored = store(
            Response,
            rows,
            key_of=lambda row: row.values["external_id"],
            existing=existing,
            wanted_of=wanted,
            identity_of=lambda row: {
                "source": run.source,
                "external_id": row.values["external_id"],
                "recorded_at": run.now,
            },
        )
        self._store_answers(rows, stored.by_key, run)
        run.touched.update(
            pk for row in rows if row.outcome != "unchanged" and (pk := row.values.get("account_id"))
        )

    @staticmethod
    def _read_shorthand(rows: list[Parsed]) -> None:
        blank = dict.fromkeys(_ANSWER)
        for row in rows:
            answers = row.values.setdefault("answers", [])
            for name, shape in _SHORTHAND.items():
                score = row.values.get(name)
                if score is None:
                    continue
                if not shape["scale_low"] <= score <= shape["scale_high"]:
                    row.reject(
                        name, f"{score} is not on the scale {shape['scale_low']} to {shape['scale_high']}."
                    )
                answers.append({**shape, "question": "", "score": score, "text": ""})
            if comment := row.values.get("comment"):
                answers.append({**blank, "kind": Answer.Kind.TEXT, "question": "", "text": comment})

    @staticmethod
    def _find_surveys(rows: list[Parsed], run: Run) -> list[Parsed]:
        names = {row.values["survey"] for row in rows}
        known = dict(Survey.objects.filter(name__in=names).values_list("name", "pk"))
        missing = sorted(names - known.keys())
        if missing and "surveys" in run.creates:
            # Without accounts nobody can be told apart: such a survey counts in totals only.
            has_accounts = bool({"account", "account_name"} & run.mapped)
            made = Survey.objects.bulk_create(
                [Survey(name=name, is_anonymous=not has_accounts) for name in missing]
            )
            known |= {survey.name: survey.pk for survey in made}
            run.made["surveys"] += len(made)
        for row in rows:
            row.values["survey_id"] = known.get(row.values["survey"])
            if row.values["survey"] not in known:
                row.reject("survey", f"Survey “{row.values['survey']}” is unknown.")
        return alive(rows)

    @staticmethod
    def _store_answers(rows: list[Parsed], responses: dict[Any, Any], run: Run) -> None:
        pks = {responses[row.values["external_id"]].pk for row in rows if row.outcome != "created"}
        known: dict[int, dict[tuple[str, str], Answer]] = defaultdict(dict)
        for one in Answer.objects.filter(response__in=pks):
            known[one.response_id][one.kind, one.question] = one
        asked = {(answer["kind"], answer.get("question", "")) for answer in run.options.get("answers", [])}
        asked |= {(name, "") for name in _SHORTHAND if name in run.mapped}
        asked |= {(Answer.Kind.TEXT, "")} if "comment" in run.mapped else set()
        new: list[Answer] = []
        changed: dict[int, Answer] = {}
        gone: list[int] = []
        for row in rows:
            response = responses[row.values["external_id"]]
            before = known[response.pk]
            given = {(answer["kind"], answer["question"]): answer for answer in row.values["answers"]}
            is_different = False
            for key, values in given.items():
                shape = {name: values[name] for name in _ANSWER}
                answer = before.get(key)
                if answer is None:
                    answer = before[key] = Answer(
                        response_id=response.pk, kind=key[0], question=key[1], **shape
                    )
                    new.append(answer)
                    is_different = True
                elif any(getattr(answer, name) != value for name, value in shape.items()):
                    for name, value in shape.items():
                        setattr(answer, name, value)
                    if answer.pk:
                        changed[answer.pk] = answer
                    is_different = True
            for key in (asked & before.keys()) - given.keys():
                if pk := before[key].pk:  # the file asks this question and no longer answers it
                    gone.append(pk)
                    del before[key]
                    is_different = True
            if is_different and row.outcome == "unchanged":
                row.outcome = "updated"
        Answer.objects.filter(pk__in=gone).delete()
        update_rows(list(changed.values()), _ANSWER)
        insert_rows(Answer, new)
        run.made["answers"] += len(new)
