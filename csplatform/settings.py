"""How the site is put together, read from the environment; fine with nothing set.

Each variable has a row in docs/operating.md. A wrong value stops the start with a sentence.
"""

from __future__ import annotations

import secrets
import zoneinfo
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import django_stubs_ext
import environ
import structlog
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from whitenoise.compress import Compressor

# Lets generic classes such as ModelAdmin[Account] be written down at run time.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()


def _check(name: str, value: Any, *, is_good: bool, rule: str) -> Any:
    if not is_good:
        raise ImproperlyConfigured(f"{name} is {value!r}: {rule}")
    return value


# Where everything that is made while running lives: database, keys, uploads, broker.
VAR_DIR = Path(env.str("CSPLATFORM_VAR", default=str(BASE_DIR / "var"))).resolve()
try:
    VAR_DIR.mkdir(mode=0o750, parents=True, exist_ok=True)
except OSError as error:
    raise ImproperlyConfigured(
        f"CSPLATFORM_VAR is {str(VAR_DIR)!r}: a folder we can write to is needed ({error.strerror})."
    ) from error


def _kept_secret() -> str:
    """Return this installation's own key, made at the first start and kept."""
    path = VAR_DIR / "secret_key"
    try:
        with path.open("x") as file:
            path.chmod(0o600)
            file.write(secrets.token_urlsafe(64))
    except FileExistsError:
        pass
    return path.read_text().strip()


try:
    DEBUG = env.bool("DEBUG", default=False)
except ValueError as error:
    raise ImproperlyConfigured(f"DEBUG: write true or false ({error}).") from error

SECRET_KEY = env.str("SECRET_KEY", default="") or _kept_secret()
_check("SECRET_KEY", "…", is_good=len(SECRET_KEY) >= 50, rule="at least 50 characters are needed.")

PORT = _check(
    "PORT",
    env.str("PORT", default="8000"),
    is_good=env.str("PORT", default="8000").isdigit(),
    rule="a port number is needed.",
)
BASE_URL = env.str("BASE_URL", default=f"http://127.0.0.1:{PORT}").rstrip("/")
_check(
    "BASE_URL",
    BASE_URL,
    is_good=BASE_URL.startswith(("http://", "https://")),
    rule="it must begin with http:// or https://.",
)
IS_HTTPS = BASE_URL.startswith("https://")

ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS",
    default=["localhost", "127.0.0.1", "[::1]", BASE_URL.split("://")[1].split("/")[0].rsplit(":", 1)[0]],
)
CSRF_TRUSTED_ORIGINS = [BASE_URL]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
    "django_filters",
    "django_htmx",
    "django_structlog",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "workspace",
    "playbooks",
    "intake",
    "metrics",
    "surveys",
    "tickets",
    "usage",
    "accounts",
    "team",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
]

ROOT_URLCONF = "csplatform.urls"
WSGI_APPLICATION = "csplatform.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Database -------------------------------------------------------------------------

try:
    DATABASES: dict[str, dict[str, Any]] = {
        "default": env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'db.sqlite3'}")
    }
except (environ.ImproperlyConfigured, ValueError, KeyError) as error:
    raise ImproperlyConfigured(
        f"DATABASE_URL: write postgres://user:password@host:5432/name or sqlite:////path/file ({error})."
    ) from error

IS_SQLITE = DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
if IS_SQLITE:
    # IMMEDIATE takes the write lock at BEGIN: a transaction that reads first and writes
    # later waits its turn instead of failing with "database is locked".
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
            "PRAGMA cache_size=-65536; PRAGMA mmap_size=268435456; PRAGMA temp_store=MEMORY;"
        ),
    }
else:
    _check(
        "DATABASE_URL",
        DATABASES["default"]["ENGINE"],
        is_good=DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql",
        rule="PostgreSQL and SQLite are supported.",
    )
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    # A page must not wait long; a command may. Jobs set limits of their own (team/work/running.py).
    # The table of all time-outs is in docs/operating.md.
    _LIMITS = (
        {"statement_timeout": 5_000, "lock_timeout": 2_000, "idle_in_transaction_session_timeout": 10_000}
        if env.bool("CSPLATFORM_WEB", default=False)
        else {"lock_timeout": 30_000}
    )
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 5,
        "options": " ".join(f"-c {name}={milliseconds}" for name, milliseconds in _LIMITS.items()),
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Jobs -----------------------------------------------------------------------------

REDIS_URL = env.str("REDIS_URL", default="")
_check(
    "REDIS_URL",
    REDIS_URL,
    is_good=not REDIS_URL or REDIS_URL.startswith(("redis://", "rediss://", "unix://")),
    rule="write redis://host:6379/0 or unix:///path/to/socket.",
)

# What must be done is in the database (team.work); Celery only wakes its workers.
# A claim is renewed while its worker lives. When that dies, others wait this long.
try:
    WORK_LEASE_SECONDS = env.int("WORK_LEASE_SECONDS", default=20)
except ValueError as error:
    raise ImproperlyConfigured(f"WORK_LEASE_SECONDS: write a number of seconds ({error}).") from error
_check("WORK_LEASE_SECONDS", WORK_LEASE_SECONDS, is_good=WORK_LEASE_SECONDS >= 1, rule="1 or more is needed.")
# The longest a job may take in each lane; a process that hangs longer is killed.
WORK_LONGEST_SECONDS = {"fast": 120, "slow": 6 * 60 * 60}

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Without these a connection that is half open stops a worker for good, silently.
    "socket_timeout": 2,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 5,
    # A dead worker's messages come back after 15 s instead of 100.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "visibility_timeout": WORK_LONGEST_SECONDS["slow"] + 600,
}
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_DEFAULT_QUEUE = "fast"
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = CELERY_EVENT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TIMEZONE = "UTC"
# Two wake-ups, nothing else: which jobs come round, and when, is in each app's jobs.py.
CELERY_BEAT_SCHEDULE = {
    "look at the clock, then at the fast lane": {
        "task": "team.tick",
        "schedule": 2.0,
        "options": {"queue": "fast", "expires": 10, "time_limit": WORK_LONGEST_SECONDS["fast"] + 30},
    },
    "look at the slow lane": {
        "task": "team.wake",
        "schedule": 2.0,
        "args": ["slow"],
        "options": {"queue": "slow", "expires": 10, "time_limit": WORK_LONGEST_SECONDS["slow"] + 30},
    },
}

# --- Who signs in ---------------------------------------------------------------------

AUTH_USER_MODEL = "team.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "workspace:home"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "team.sign_in.InvitedOnly"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
SESSION_COOKIE_AGE = 60 * 60 * 24 * 14
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_NAME = "__Host-session" if IS_HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if IS_HTTPS else "csrf"
CSRF_COOKIE_HTTPONLY = True
SECURE_SSL_REDIRECT = IS_HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = IS_HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "manifest-src": [SELF],
    },
}

# --- API ------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "workspace.api.authentication.BearerKey",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["workspace.api.authentication.ReadOrAdminWrites"],
    "DEFAULT_PARSER_CLASSES": ["workspace.api.gate.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "workspace.api.pagination.CursorPages",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "workspace.api.problems.handle",
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "csplatform",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
}

# --- Words, money, time ---------------------------------------------------------------

LANGUAGE_CODE = "en-gb"
USE_I18N = True
USE_TZ = True
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
_check(
    "TIME_ZONE",
    TIME_ZONE,
    is_good=TIME_ZONE in zoneinfo.available_timezones(),
    rule="a name such as Europe/Berlin is needed.",
)
REPORTING_CURRENCY = env.str("REPORTING_CURRENCY", default="EUR")
_check(
    "REPORTING_CURRENCY",
    REPORTING_CURRENCY,
    is_good=len(REPORTING_CURRENCY) == 3 and REPORTING_CURRENCY.isascii() and REPORTING_CURRENCY.isupper(),
    rule="three capital letters of ISO 4217 are needed, such as EUR.",
)

try:
    SMALL_SAMPLE = env.int("SMALL_SAMPLE", default=10)
except ValueError as error:
    raise ImproperlyConfigured(f"SMALL_SAMPLE: write a number ({error}).") from error
_check("SMALL_SAMPLE", SMALL_SAMPLE, is_good=SMALL_SAMPLE >= 0, rule="0 or more is needed.")

# How much of the revenue is left once what we sell has been made; lifetime value says when it is a guess.
IS_GROSS_MARGIN_SET = bool(env.str("GROSS_MARGIN_PERCENT", default=""))
try:
    GROSS_MARGIN_PERCENT = Decimal(env.str("GROSS_MARGIN_PERCENT", default="") or 100)
except InvalidOperation as error:
    raise ImproperlyConfigured("GROSS_MARGIN_PERCENT: write a number, such as 75 or 82.5.") from error
_check(
    "GROSS_MARGIN_PERCENT",
    GROSS_MARGIN_PERCENT,
    is_good=GROSS_MARGIN_PERCENT.is_finite() and 0 < GROSS_MARGIN_PERCENT <= 100,
    rule="more than 0 and at most 100 is needed.",
)

# Names that customers' systems give things. Upper and lower case are the same.
ONBOARDING_MILESTONES = env.list(
    "ONBOARDING_MILESTONES", default=["Onboarding completed", "Onboarding complete", "Onboarding"]
)
_check(
    "ONBOARDING_MILESTONES",
    ONBOARDING_MILESTONES,
    is_good=all(name.strip() for name in ONBOARDING_MILESTONES),
    rule="names of milestones are needed, with commas between them.",
)
TUTORIAL_FEATURES = env.list("TUTORIAL_FEATURES", default=["Tutorial*"])
_check(
    "TUTORIAL_FEATURES",
    TUTORIAL_FEATURES,
    is_good=all(name.strip(" *") for name in TUTORIAL_FEATURES),
    rule="names of features are needed, with commas between them; Tutorial* is all that begin so.",
)

# --- Mail -----------------------------------------------------------------------------

EMAIL_URL = env.str("EMAIL_URL", default="")
try:
    vars().update(env.email_url("EMAIL_URL", default=EMAIL_URL or "consolemail://"))
except (environ.ImproperlyConfigured, KeyError, ValueError) as error:
    raise ImproperlyConfigured(f"EMAIL_URL: write smtp://user:password@host:25 ({error}).") from error
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="csplatform <no-reply@localhost>")

# --- Files ----------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# Source maps are megabytes only a developer's browser asks for; compressing them doubled the first start.
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = [*Compressor.SKIP_COMPRESS_EXTENSIONS, "map"]
MEDIA_ROOT = VAR_DIR / "files"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440

# --- What we write down ---------------------------------------------------------------

LOG_FORMAT = env.str("LOG_FORMAT", default="text")
_check("LOG_FORMAT", LOG_FORMAT, is_good=LOG_FORMAT in ("text", "json"), rule="write text or json.")
_LOG_STEPS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_LOG_STEPS,
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _LOG_STEPS,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer()
                if LOG_FORMAT == "json"
                # Tracebacks without local variables: those hold keys and people's names.
                else structlog.dev.ConsoleRenderer(
                    colors=False, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
                ),
            ],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    # Each refused request has one line already, from django_structlog.
    "loggers": {"django.request": {"level": "ERROR"}},
}
