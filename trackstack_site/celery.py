"""Celery: it only wakes workers. What there is to do stands in PostgreSQL, so a lost message costs one beat sweep.

Four queues, so that a flood of one kind of work never keeps another waiting: `route` (batches → deliveries), `deliver`
(deliveries → platforms), `replay` (the past, at its own pace) and `upkeep` (sweep, ledger folding, retention).
"""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import setup_logging, worker_init, worker_ready

from trackstack_site.memory import collect_seldom, few_arenas

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trackstack_site.settings")

app = Celery("trackstack")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_ignore_result=True,
    task_default_queue="upkeep",
    task_routes={
        "routing.*": {"queue": "route"},
        "destinations.deliver": {"queue": "deliver"},
        "destinations.replay": {"queue": "replay"},
    },
    # A wake-up that is lost with its worker is repaired by the sweep; acknowledging late would replay stale ones.
    task_acks_late=False,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    # Nobody commands workers through the broker, and its subscription is what a worker can wait on for ever, in the one
    # thread that also fetches its tasks, when the broker was restarted under it.
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "retry_on_timeout": True,
    },
    # Wake-ups older than a sweep are pointless: the sweep has repeated them.
    beat_schedule={
        "sweep": {
            "task": "destinations.sweep",
            "schedule": 3.0,
            "options": {"expires": 10},
        },
        "publish-drafts": {"task": "routing.publish_drafts", "schedule": 5.0, "options": {"expires": 10}},
        "replay": {"task": "destinations.replay", "schedule": 1.0, "options": {"expires": 5}},
        "quality": {"task": "events.quality", "schedule": 60.0, "options": {"expires": 60}},
        "watch": {"task": "destinations.watch", "schedule": 30.0, "options": {"expires": 30}},
        "forget-old": {"task": "destinations.forget_old", "schedule": 60.0, "options": {"expires": 60}},
        "fold-ledger": {
            "task": "destinations.fold_ledger",
            "schedule": 30.0,
            "options": {"expires": 60},
        },
    },
)
app.autodiscover_tasks()


@setup_logging.connect
def _keep_django_logging(**_: object) -> None:
    """Celery must not replace the JSON logging that settings.LOGGING set up."""


@worker_init.connect
def _few_arenas(**_: object) -> None:
    few_arenas()


@worker_ready.connect
def _collect_seldom(**_: object) -> None:
    collect_seldom()
