"""Settings of TrackStack, all from the environment (see .env.example).

Without DATABASE_URL and BROKER_URL the embedded engines under TRACKSTACK_HOME serve, and the secrets are made once and
kept there. With DATABASE_URL set this is a deployment: every secret must be given, nothing is invented.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from trackstack_site import embedded, env

BASE_DIR = Path(__file__).resolve().parent.parent
env.read_dotenv(BASE_DIR / ".env")

TRACKSTACK_HOME = Path(env.read_text("TRACKSTACK_HOME") or BASE_DIR / "var").resolve()
DATABASE_URL = env.read_text("DATABASE_URL")
BROKER_URL = env.read_text("BROKER_URL")
IS_EMBEDDED = not DATABASE_URL
EMBEDDED = embedded.Engines(TRACKSTACK_HOME)

DEBUG = env.read_bool("DEBUG", default=False)

# --- Secrets ------------------------------------------------------------------------------------
# Three rings with three jobs, so that each can be rotated alone: sessions and signing (SECRET_KEY), stored platform
# credentials (CREDENTIALS_KEYS, Fernet, the first encrypts) and ingest key digests
# (API_KEY_PEPPERS, the first digests).
SECRET_KEY = env.read_text("SECRET_KEY")
CREDENTIALS_KEYS = env.read_list("CREDENTIALS_KEYS")
API_KEY_PEPPERS = env.read_list("API_KEY_PEPPERS")
if IS_EMBEDDED and not (SECRET_KEY and CREDENTIALS_KEYS and API_KEY_PEPPERS):
    kept = EMBEDDED.secrets()
    SECRET_KEY = SECRET_KEY or kept["SECRET_KEY"]
    CREDENTIALS_KEYS = CREDENTIALS_KEYS or [kept["CREDENTIALS_KEYS"]]
    API_KEY_PEPPERS = API_KEY_PEPPERS or [kept["API_KEY_PEPPERS"]]
for name, value in (
    ("SECRET_KEY", SECRET_KEY),
    ("CREDENTIALS_KEYS", CREDENTIALS_KEYS),
    ("API_KEY_PEPPERS", API_KEY_PEPPERS),
):
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. DATABASE_URL is, so this is a deployment: see .env.example")

ALLOWED_HOSTS = env.read_list("ALLOWED_HOSTS", ["*"] if IS_EMBEDDED else [])
CSRF_TRUSTED_ORIGINS = env.read_list("CSRF_TRUSTED_ORIGINS")
if env.read_bool("BEHIND_TLS_PROXY"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = 31_536_000

INSTALLED_APPS = [
    "trackstack_site.apps.TrackStackAdminConfig",
    "trackstack_site.apps.SiteConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "template_partials",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "events",
    "destinations",
    "routing",
]

MIDDLEWARE = [
    "trackstack_site.trace_id.TraceIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "trackstack_site.ingest_bypass.IngestBypassMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "trackstack_site.fresh.FreshMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "trackstack_site.urls"
WSGI_APPLICATION = "trackstack_site.wsgi.application"
LOGIN_URL = "admin:login"
AUTHENTICATION_BACKENDS = ["trackstack_site.permissions.OneQueryBackend"]

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
                "trackstack_site.menu.menu",
                "trackstack_site.strip.strip",
            ],
        },
    }
]

# --- PostgreSQL: the queue of record --------------------------------------------------------------
# The pool is per process. Its timeout is short on purpose: when the database is away, ingest answers 503 soon
# instead of piling up requests.
DATABASES = {
    "default": {
        **env.parse_database_url(DATABASE_URL or EMBEDDED.database_url),
        "ENGINE": "trackstack_site.embedded_postgres" if IS_EMBEDDED else "django.db.backends.postgresql",
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
    }
}
DATABASES["default"]["OPTIONS"]["pool"] = {
    "min_size": 1,
    "max_size": env.read_int("DATABASE_POOL_SIZE", 16, minimum=2),
    "timeout": 3,
    "reconnect_timeout": 10,
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Celery: wakes workers, holds nothing that PostgreSQL does not --------------------------------
CELERY_BROKER_URL = BROKER_URL or EMBEDDED.broker_url
DELIVER_THREADS = env.read_int("DELIVER_THREADS", 16, minimum=2)

# --- Alerts ------------------------------------------------------------------------------------------
SITE_URL = env.read_text("SITE_URL").rstrip("/")
"""Address of this installation, for links in notices."""
EMAIL_TIMEOUT = 10
SENDS_MAIL = bool(env.read_text("EMAIL_URL"))
globals().update(env.parse_email_url(env.read_text("EMAIL_URL")))

# --- Processes (see trackstack_site/processes.py) ---------------------------------------------------
WEB_HOST = env.read_text("WEB_HOST", "127.0.0.1" if IS_EMBEDDED else "0.0.0.0")  # noqa: S104
WEB_WORKERS = env.read_int("WEB_WORKERS", 2, minimum=1)
WEB_THREADS = env.read_int("WEB_THREADS", 16, minimum=1)
DEMO_TRICKLE = env.read_bool("DEMO_TRICKLE", default=True)

# --- Policy of this installation -------------------------------------------------------------------
MAX_BODY_BYTES = 1024 * 1024
MAX_EVENTS_PER_BATCH = 100
DELIVERY_LEASE = timedelta(seconds=env.read_int("DELIVERY_LEASE_SECONDS", 60, minimum=10))
WORKERS_EXPECTED = env.read_int("WORKERS_EXPECTED", 2, minimum=1)
"""Worker processes that share a rate limit while Valkey is away and cannot count for all."""
LANES_PER_DESTINATION = env.read_int("LANES_PER_DESTINATION", 4, minimum=1)
DELIVERY_RETRY_FOR = timedelta(hours=72)
# Days each class of data is kept; 0 keeps for ever. An event is kept at least as long as its deliveries.
RETENTION_DAYS = {
    "attempts": env.read_int("RETENTION_ATTEMPTS_DAYS", 30),
    "rejected": env.read_int("RETENTION_REJECTED_DAYS", 90),
    "deliveries": env.read_int("RETENTION_DELIVERIES_DAYS", 180),
    "events": env.read_int("RETENTION_EVENTS_DAYS", 400),
    "minutes": 8,  # what Health reads, which looks back seven days
    "quality": 35,  # what Quality counted, and the hashes of transactions it holds later ones against
}
HTTP_TIMEOUT_SECONDS = env.read_int("HTTP_TIMEOUT_SECONDS", 15, minimum=1)
# How many proxies in front of us append to X-Forwarded-For; 0 takes the connection's own address.
TRUSTED_PROXY_COUNT = env.read_int("TRUSTED_PROXY_COUNT", 0)
# Hosts or networks that outgoing requests may reach although they are private, for a webhook inside your own network.
ALLOW_PRIVATE_ADDRESSES = env.read_list("ALLOW_PRIVATE_ADDRESSES")
# Where destinations in sandbox mode send. Empty: sandbox mode is off, such destinations hold.
SANDBOX_URL = env.read_text("SANDBOX_URL") or (EMBEDDED.read_sandbox_url() if IS_EMBEDDED else "")
FILES_ROOT = Path(env.read_text("FILES_ROOT") or TRACKSTACK_HOME / "files")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["events.api.authentication.IngestKeyAuthentication"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["events.api.parsers.EventsParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "events.api.problems.as_problem",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "TrackStack API",
    "TAGS": [{"name": "Ingest"}, {"name": "Configuration"}],
    "DESCRIPTION": "Send one canonical event name; TrackStack forwards it to every destination it is switched on for.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    # A page may send only with a key whose source allows this origin, so "Try it out" would mislead; curl is beside it.
    "SWAGGER_UI_SETTINGS": {"supportedSubmitMethods": [], "docExpansion": "full"},
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# One language for all: half a translation beside English would be worse than none.
LANGUAGE_CODE = env.read_text("LANGUAGE_CODE", "en")
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

STATIC_URL = "static/"
STATIC_ROOT = TRACKSTACK_HOME / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "trackstack_site.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": env.read_text("LOG_LEVEL", "INFO")},
    "loggers": {
        "django.request": {"level": "ERROR"},
        # A line per task says nothing that the ledger and the attempts do not say better.
        "celery": {"level": "WARNING"},
        # The pool repeats itself several times a second while the database is away; the callers say it once each.
        "psycopg.pool": {"level": "ERROR"},
    },
}
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
