#!/usr/bin/env python3
"""A TaskTrack worker in Python that uses only the standard library.

    python3 worker.py http://localhost:8080 count

Claims one task of a type after another, runs it, and reports the outcome. See README.md in this folder.
"""
import http.client
import json
import math
import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request

SERVER = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8080"
TYPE = sys.argv[2] if len(sys.argv) > 2 else "count"
WORKER = f"{socket.gethostname()}-{os.getpid()}"
LEASE = float(os.environ.get("LEASE_SECONDS", "30"))
RESULT_BYTES = 1_048_576  # a larger result is not kept
MESSAGE_LENGTH = 10_000

stopping = threading.Event()  # finish the running task, request no more


class Refused(Exception):
    """The server refuses this request, and would refuse it again."""

    def __init__(self, status, answer):
        super().__init__(f"{status}: {answer}")
        self.status = status


class Stop(Exception):
    """The task was cancelled or lost: stop the handler."""


def post(path, body, wait=0.0):
    """Sends JSON and returns the JSON of the answer. Raises Refused, or OSError if the request may be repeated."""
    request = urllib.request.Request(SERVER + path, json_bytes(body), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=wait + LEASE / 3) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        if error.code >= 500 or error.code == 429:
            raise  # an OSError
        raise Refused(error.code, error.read(1000).decode(errors="replace")) from None
    except (http.client.HTTPException, ValueError) as error:  # the answer is incomplete, or not from the server
        raise OSError(f"{path}: {text_of(error)}") from error


def json_bytes(value):
    """Raises ValueError, TypeError or RecursionError for a value that is not JSON, such as NaN, a datetime or a cycle."""
    return json.dumps(value, allow_nan=False).encode()


def text_of(error):
    """The text of an exception; its own __str__ may raise."""
    try:
        return (str(error) or type(error).__name__)[:MESSAGE_LENGTH]
    except Exception:
        return type(error).__name__


class Lease:
    """The lease of a task. A thread renews it after each third of its length, and gets cancel requests."""

    def __init__(self, task, claimed_at):
        self.id, self.token = task["id"], task["lease"]["token"]
        self.cancelled = threading.Event()  # a cancel was requested, or the lease is lost
        self.lost = threading.Event()  # the task may belong to another worker: report nothing more
        self.ended = threading.Event()
        self.progress = None
        self.held_until = claimed_at + LEASE  # not after the end of the lease
        threading.Thread(target=self.keep, daemon=True).start()

    def report(self, percent, message=""):
        """Reports the progress, from 0 to 100. An invalid percentage is made valid, so that the server accepts the heartbeat."""
        percent = float(percent)
        percent = 0 if math.isnan(percent) else max(0, min(100, percent))
        self.progress = {"percent": percent, "message": str(message)[:MESSAGE_LENGTH]}

    def keep(self):
        """Sends heartbeats. Stops the task before the end of its lease if the lease was not renewed, even if the server does not answer."""
        next_beat = time.monotonic() + LEASE / 3
        while not self.ended.wait(LEASE / 12):
            if time.monotonic() > self.held_until - LEASE / 6:
                return self.lose()
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + LEASE / 3
                try:
                    self.beat()
                except Exception as error:  # the next heartbeat may succeed
                    print(f"task {self.id}: heartbeat: {text_of(error)}", flush=True)

    def beat(self):
        lease, sent_at = {"id": self.id, "token": self.token}, time.monotonic()
        if self.progress is not None:
            lease["progress"], self.progress = self.progress, None
        answer = post("/api/worker/heartbeat", {"worker": WORKER, "leases": [lease]})
        if answer["directive"] != "run":
            stopping.set()
        status = answer["leases"][0]["status"]
        if status == "lost":
            return self.lose()
        self.held_until = sent_at + LEASE
        if status == "cancel":
            self.cancelled.set()

    def lose(self):
        self.lost.set()
        self.cancelled.set()
        self.ended.set()

    def settle(self, verb, **body):
        """
        Reports the outcome. Repeats the request until the server answers or the lease is lost; a repetition has no further effect.
        Raises Refused. After SIGTERM it tries for a third of a lease.
        """
        pause, stop_at = 0.25, None
        while not self.lost.is_set():
            try:
                return post(f"/api/task/{self.id}/{verb}", {"token": self.token, **body})
            except OSError as error:
                print(f"task {self.id}: {verb}: {text_of(error)}", flush=True)
            if stopping.is_set():
                stop_at = stop_at or time.monotonic() + LEASE / 3
                if time.monotonic() >= stop_at:
                    break
            self.lost.wait(pause)
            pause = min(5, 2 * pause)
        print(f"task {self.id}: {verb} failed", flush=True)

    def fail(self, code, message, retryable):
        self.settle("fail", error={"code": code, "message": message[:MESSAGE_LENGTH]}, retryable=retryable)

    def complete(self, result):
        """A result that cannot be sent, or that the server refuses, fails the task, because another attempt would have the same result."""
        try:
            size = len(json_bytes(result))
        except Exception as error:
            return self.fail("result_not_json", f"The result cannot be written as JSON: {text_of(error)}", False)
        if size > RESULT_BYTES:
            return self.fail("result_too_large", f"The result has {size} bytes; at most {RESULT_BYTES} are kept", False)
        try:
            self.settle("complete", result=result)
        except Refused as refused:
            if refused.status == 409:
                raise  # the lease is lost
            self.fail("result_refused", f"The server refused the result: {refused}", False)


def work(task, lease):
    """The handler: counts to payload.seconds. Checks regularly whether the task was cancelled."""
    seconds = float((task.get("payload") or {}).get("seconds", 1))
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < seconds:
        lease.report(100 * elapsed / seconds, "counting")
        if lease.cancelled.wait(min(0.1, seconds - elapsed)):
            raise Stop
    return {"counted": seconds, "by": WORKER}


def run(task, claimed_at):
    lease = Lease(task, claimed_at)
    print(f"task {task['id']}: attempt {task['attempt']}", flush=True)
    try:
        try:
            result = work(task, lease)
        except Stop:
            lease.settle("release")  # after a cancel this ends the task as cancelled
        except (Exception, SystemExit) as error:  # an error in the handler fails the task and does not end the worker
            lease.fail("handler_error", text_of(error), True)
        else:
            lease.complete(result)
    except Refused as refused:  # usually the task belongs to another worker by now
        print(f"task {task['id']}: {text_of(refused)}", flush=True)
    finally:
        lease.ended.set()


class Claim:
    """A claim that waits for a task. When the worker stops, a thread sends /api/worker/leave."""

    def __init__(self):
        self.request = f"{WORKER}-{time.time_ns()}"
        self.answered = threading.Event()
        self.has_left = False
        self.leaving = threading.Thread(target=self.leave_when_stopping, daemon=True)

    def tasks(self, wait):
        ask = {"worker": WORKER, "types": [TYPE], "max": 1, "lease": f"{LEASE}s", "wait": f"{wait}s", "request": self.request}
        self.leaving.start()
        try:
            answer = post("/api/worker/claim", ask, wait)
        except (OSError, Refused) as error:
            print(f"no tasks: {text_of(error)}", flush=True)
            self.leave()
            stopping.wait(1)
            return []
        finally:
            self.answered.set()
        if answer["directive"] != "run":
            stopping.set()
        self.leaving.join()  # tasks that the server has released are not run
        return [] if self.has_left else answer["tasks"]

    def leave_when_stopping(self):
        """Ends a waiting claim: the server answers it at once."""
        while not self.answered.wait(0.1):
            if stopping.is_set():
                return self.leave()

    def leave(self):
        """The server ends the claim, which a proxy may have kept open, and releases its task."""
        try:
            post("/api/worker/leave", {"worker": WORKER, "requests": [self.request]})
            self.has_left = True
        except (OSError, Refused) as error:
            print(f"leave: {text_of(error)}", flush=True)


def main():
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    wait = LEASE / 3  # short enough that a lease is never half over when the answer arrives
    while not stopping.is_set():
        claimed_at = time.monotonic()
        for task in Claim().tasks(wait):
            run(task, claimed_at)


if __name__ == "__main__":
    main()
