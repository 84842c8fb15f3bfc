"""Mail to our own people that is never sent twice and never lost in silence.

Whoever decides that somebody gets a mail calls `send_later` in the same transaction. A worker claims
the row, has it written by the function that `composes` its kind, notes that it is being sent, sends it,
and notes the outcome; each step says which state it expects.

    queued → claimed → sending → sent | failed | uncertain

Who dies before "sending" has sent nothing: the next worker begins anew. Who dies after it may have
sent it: the row becomes uncertain, and stays so until a person decides.
"""

from __future__ import annotations

import smtplib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any, Literal

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from team.models import Mail, User
from team.work import enqueue

log = structlog.get_logger(__name__)
State = Mail.State
ERROR_LENGTH = 2_000


@dataclass(frozen=True)
class Letter:
    """What a mail says, as text and as HTML."""

    subject: str
    text: str
    html: str = ""


class NotWantedError(Exception):
    """There is nothing to send any more: says why."""


class TryAgainError(Exception):
    """It was certainly not sent, and may be later."""


Compose = Callable[[Mail], Letter]
COMPOSERS: dict[str, Compose] = {}


def composes(kind: str) -> Callable[[Compose], Compose]:
    """Make the decorated function write the mails of this kind; call it in `jobs.py`."""

    def register(compose: Compose) -> Compose:
        COMPOSERS[kind] = compose
        return compose

    return register


def is_configured() -> bool:
    """Return whether mails leave this installation; otherwise they are written to the log."""
    return bool(settings.EMAIL_URL)


def send_later(kind: str, key: str, *, user: User, payload: dict[str, Any] | None = None) -> bool:
    """Decide, in the caller's transaction, that `user` gets this mail; False when that was decided before."""
    if kind not in COMPOSERS:
        raise LookupError(f"No function writes mails of the kind {kind!r}.")
    with transaction.atomic():
        mail, is_new = Mail.objects.get_or_create(
            kind=kind, key=key, defaults={"user": user, "payload": payload or {}}
        )
        if is_new:
            _enqueue(mail)
    return is_new


def _enqueue(mail: Mail) -> None:
    enqueue("team.send_mail", key=f"mail:{mail.pk}", payload={"mail": mail.pk})


def send_again(mail: Mail) -> bool:
    """Queue a mail that was refused, or that may have been sent: a person has decided so."""
    with transaction.atomic():
        is_ours = Mail.objects.filter(pk=mail.pk, state__in=[State.FAILED, State.UNCERTAIN]).update(
            state=State.QUEUED, attempts=0, last_error="", finished_at=None, claim_token=None
        )
        if is_ours:
            _enqueue(mail)
    return bool(is_ours)


# --- Sending --------------------------------------------------------------------------


def deliver(pk: int, *, is_last_attempt: bool) -> None:
    """Write and send one mail; raises TryAgainError, or what composing raised, while that may help."""
    token = uuid.uuid4()
    claimed = Mail.objects.filter(pk=pk, state__in=[State.QUEUED, State.CLAIMED]).update(
        state=State.CLAIMED, claim_token=token, attempts=F("attempts") + 1
    )
    if not claimed:
        _note_a_dead_sender(pk)
        return
    mail = Mail.objects.select_related("user").get(pk=pk)
    try:
        letter = _written(mail)
        connection = get_connection()
        try:
            connection.open()
        except Exception as error:
            raise TryAgainError(f"The mail server was not reached: {_words(error)}") from error
    except NotWantedError as reason:
        _move(mail, State.CLAIMED, State.DROPPED, str(reason))
        return
    except Exception as error:
        _put_back(mail, State.CLAIMED, _words(error), is_last_attempt=is_last_attempt)
        if is_last_attempt:
            return
        raise
    try:
        if not _move(mail, State.CLAIMED, State.SENDING):
            return  # another worker took it over while we wrote
        _send(mail, letter, connection, is_last_attempt=is_last_attempt)
    finally:
        _close(connection)


def _written(mail: Mail) -> Letter:
    if not mail.user.is_active:
        raise NotWantedError("The recipient is switched off.")
    compose = COMPOSERS.get(mail.kind)
    if compose is None:
        raise LookupError(f"No function writes mails of the kind {mail.kind!r} in this release.")
    return compose(mail)


def _send(mail: Mail, letter: Letter, connection: Any, *, is_last_attempt: bool) -> None:
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    message = EmailMultiAlternatives(
        " ".join(letter.subject.split()),
        letter.text,
        to=[mail.user.email],
        connection=connection,
        headers={"Message-ID": f"<mail-{mail.pk}@{domain}>", "Auto-Submitted": "auto-generated"},
    )
    if letter.html:
        message.attach_alternative(letter.html, "text/html")
    try:
        message.send()
    except Exception as error:
        match _outcome(error):
            case "later":
                _put_back(mail, State.SENDING, _words(error), is_last_attempt=is_last_attempt)
                if not is_last_attempt:
                    raise TryAgainError(_words(error)) from error
            case "refused":
                _move(mail, State.SENDING, State.FAILED, _words(error))
            case _:
                _move(mail, State.SENDING, State.UNCERTAIN, _words(error))
                log.warning("a mail may or may not have been sent", mail=mail.pk, kind=mail.kind)
        return
    # Should another worker have taken us for dead meanwhile: we know better.
    Mail.objects.filter(
        pk=mail.pk, claim_token=mail.claim_token, state__in=[State.SENDING, State.UNCERTAIN]
    ).update(state=State.SENT, last_error="", finished_at=timezone.now())


def _outcome(error: Exception) -> Literal["later", "refused", "unknown"]:
    """Say what an error in the middle of sending means: only the server's own answer is certain."""
    code = getattr(error, "smtp_code", None)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code = max((code for code, _ in error.recipients.values()), default=0)
    if isinstance(error, UnicodeError | ValueError):  # no mail could be made of it
        return "refused"
    if isinstance(code, int) and 400 <= code < 500:
        return "later"
    if isinstance(code, int) and 500 <= code < 600:
        return "refused"
    return "unknown"


def _move(mail: Mail, before: str, after: str, error: str = "") -> bool:
    is_over = after in (State.FAILED, State.UNCERTAIN, State.DROPPED)
    return bool(
        Mail.objects.filter(pk=mail.pk, state=before, claim_token=mail.claim_token).update(
            state=after, last_error=error[:ERROR_LENGTH], finished_at=timezone.now() if is_over else None
        )
    )


def _put_back(mail: Mail, before: str, error: str, *, is_last_attempt: bool) -> None:
    """Certainly not sent: queue it for the next attempt, or give up after the last."""
    _move(mail, before, State.FAILED if is_last_attempt else State.QUEUED, error)


def _note_a_dead_sender(pk: int) -> None:
    words = "Its worker died between handing it over and noting the outcome."
    if Mail.objects.filter(pk=pk, state=State.SENDING).update(
        state=State.UNCERTAIN, last_error=words, finished_at=timezone.now()
    ):
        log.warning("a mail may or may not have been sent", mail=pk)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _close(connection: Any) -> None:
    try:
        connection.close()
    except Exception as error:  # the outcome is noted; saying goodbye may fail
        log.info("the mail server hung up", error=_words(error))
