"""Answers that customers gave, in surveys run elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import Any

from accounts.bulk import insert_rows, update_rows
from csplatform.periods import day_of
from intake.kinds.base import (
    Kind,
    Run,
    alive,
    attributes,
    check_order,
    natural_id,
    resolve_accounts,
    resolve_contacts,
    store,
)
from intake.kinds.customers import ACCOUNT_ID, ACCOUNT_NAME, EXTERNAL_ID
from intake.kinds.dealings import CONTACT
from intake.mapping import Parsed
from intake.values import Field
from surveys.models import Answer, Invitation, Response, Survey

# Plain columns for the usual questions; a mapping's “answers” asks others, on other scales.
_SHORTHAND: dict[str, dict[str, Any]] = {
    "nps": {"kind": "nps", "scale_low": 0, "scale_high": 10, "positive_from": None},
    "csat": {"kind": "csat", "scale_low": 1, "scale_high": 5, "positive_from": 4},
    "ces": {"kind": "ces", "scale_low": 1, "scale_high": 7, "positive_from": None},
}
SURVEY = Field(
    name="survey",
    label="Survey",
    max_length=150,
    is_required=True,
    synonyms=("survey name", "campaign", "questionnaire"),
)
_ANSWER = ("score", "scale_low", "scale_high", "positive_from", "text")


def resolve_surveys(rows: list[Parsed], run: Run, *, are_anonymous: bool) -> list[Parsed]:
    """Set `survey_id` from a survey's name; return the rows left. New ones are created where allowed."""
    names = {row.values["survey"] for row in rows}
    known = dict(Survey.objects.filter(name__in=names).values_list("name", "pk"))
    missing = sorted(names - known.keys())
    if missing and "surveys" in run.creates:
        made = Survey.objects.bulk_create([Survey(name=name, is_anonymous=are_anonymous) for name in missing])
        known |= {survey.name: survey.pk for survey in made}
        run.made["surveys"] += len(made)
    for row in rows:
        row.values["survey_id"] = known.get(row.values["survey"])
        if row.values["survey"] not in known:
            row.reject("survey", f"Survey “{row.values['survey']}” is unknown.")
    return alive(rows)


class Responses(Kind):
    slug = "responses"
    label = "Survey responses"
    about = "One row for each time somebody answered; it may hold the answers to several questions."
    creates = ("accounts", "contacts", "surveys")
    custom_field = "attributes"
    has_answers = True
    fields = (
        EXTERNAL_ID,
        SURVEY,
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
        # Without accounts nobody can be told apart: such a survey counts in totals only.
        rows = resolve_surveys(rows, run, are_anonymous=not {"account", "account_name"} & run.mapped)
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


class Invitations(Kind):
    slug = "invitations"
    label = "Survey invitations"
    about = "One row for each time somebody was asked; response rates are counted from them."
    creates = ("accounts", "contacts", "surveys")
    fields = (
        EXTERNAL_ID,
        SURVEY,
        ACCOUNT_ID,
        ACCOUNT_NAME,
        CONTACT,
        Field(
            name="sent_at",
            label="Sent",
            type="moment",
            is_required=True,
            synonyms=("sent on", "invited at", "invitation date", "sent date", "date sent"),
        ),
        Field(
            name="state",
            label="State",
            type="choice",
            choices=tuple(Invitation.State.choices),
            help="Without one it counts as sent; a bounced one was not delivered.",
            synonyms=("delivery", "delivery status", "status"),
        ),
        Field(name="bounced_at", label="Bounced", type="moment", synonyms=("bounced on", "bounce date")),
        Field(
            name="answered_at",
            label="Answered",
            type="moment",
            synonyms=("responded at", "answered on", "response date", "completed at"),
        ),
        Field(
            name="response",
            label="Id of the response",
            max_length=200,
            help="What was answered; a response of the same source.",
            synonyms=("response id", "answer id"),
        ),
    )

    def apply(self, rows: list[Parsed], run: Run) -> None:
        for row in rows:
            self._complete(row)
        check_order(rows, ("sent_at", "bounced_at"))
        rows = resolve_accounts(alive(rows), run, is_required=False)
        rows = resolve_contacts(rows, run) if "contact" in run.mapped else rows
        rows = self._find_responses(resolve_surveys(rows, run, are_anonymous=False), run)
        check_order(rows, ("sent_at", "answered_at"))
        rows = alive(rows)
        for row in rows:
            row.values["external_id"] = row.values.get("external_id") or natural_id(
                *(row.values.get(name) for name in ("survey", "account_id", "contact", "sent_at"))
            )
        ids = {row.values["external_id"] for row in rows}
        existing: dict[Hashable, Any] = {
            one.external_id: one for one in Invitation.objects.filter(source=run.source, external_id__in=ids)
        }
        filled_by = {
            "sent_at": {"sent_at"},
            "state": {"state", "bounced_at"},
            "bounced_at": {"bounced_at", "state"},
            "answered_at": {"answered_at", "response"},
            "response_id": {"response"},
            "account_id": {"account", "account_name"},
            "contact_id": {"contact"},
        }
        names = [name for name, columns in filled_by.items() if columns & run.mapped]
        store(
            Invitation,
            rows,
            key_of=lambda row: row.values["external_id"],
            existing=existing,
            wanted_of=lambda row: {
                "survey_id": row.values["survey_id"],
                **attributes(Invitation, row.values, names),
            },
            identity_of=lambda row: {
                "source": run.source,
                "external_id": row.values["external_id"],
                "recorded_at": run.now,
            },
        )

    @staticmethod
    def _complete(row: Parsed) -> None:
        """Fill in what follows: a moment of bouncing says the state, a day of answering no hour."""
        values = row.values
        if values.get("bounced_at") and values.get("state") in (None, Invitation.State.BOUNCED):
            values["state"] = Invitation.State.BOUNCED
        elif values.get("bounced_at"):
            row.reject("bounced_at", f"An invitation that bounced is not {values['state']}.")
        answered, sent = values.get("answered_at"), values.get("sent_at")
        if answered and sent and answered < sent and day_of(answered) == day_of(sent):
            # The file tells only the day of the answer, which then begins before the sending.
            values["answered_at"] = sent

    @staticmethod
    def _find_responses(rows: list[Parsed], run: Run) -> list[Parsed]:
        """Set `response_id` and the moment of the answer; reject what cannot have been answered."""
        ids = {row.values["response"] for row in rows if row.values.get("response")}
        known = {
            one.external_id: one
            for one in Response.objects.filter(source=run.source, external_id__in=ids).select_related(
                "invitation"
            )
        }
        anonymous = set(
            Survey.objects.filter(
                pk__in={row.values["survey_id"] for row in rows}, is_anonymous=True
            ).values_list("pk", flat=True)
        )
        for row in rows:
            values, key = row.values, row.values.get("response")
            response = known.get(key) if key else None
            values["response_id"] = response.pk if response else None
            if key and response is None:
                row.reject("response", f"Response “{key}” of source “{run.source}” is unknown.")
                continue
            if response is not None:
                Invitations._check_response(row, response)
                values["answered_at"] = max(response.given_at, values["sent_at"])
            field = "response" if response else "answered_at"
            if values.get("answered_at") and values["survey_id"] in anonymous:
                row.reject(field, f"Survey “{values['survey']}” is anonymous: who answered is not kept.")
            if values.get("answered_at") and values.get("state") == Invitation.State.BOUNCED:
                row.reject(field, "An invitation that bounced cannot have been answered.")
        return alive(rows)

    @staticmethod
    def _check_response(row: Parsed, response: Response) -> None:
        values = row.values
        linked = getattr(response, "invitation", None)
        if response.survey_id != values["survey_id"]:
            row.reject("response", f"Response “{values['response']}” belongs to another survey.")
        elif values.get("account_id") and response.account_id not in (None, values["account_id"]):
            row.reject("response", f"Response “{values['response']}” is another account's.")
        elif response.given_at < values["sent_at"] and day_of(response.given_at) != day_of(values["sent_at"]):
            row.reject("response", f"Response “{values['response']}” was given before this was sent.")
        elif linked is not None and linked.external_id != values.get("external_id"):
            row.reject("response", f"Response “{values['response']}” answers another invitation already.")
