#!/usr/bin/env python3
"""A TaskTrack worker in Python, of the standard library alone.

    python3 worker.py http://localhost:8080 count

Claims one task after another of a type, works on it, and says how it went. See README.md beside it.
"""
import json
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

stopping = threading.Event()  # finish what you have, ask for no more


class Refused(Exception):
    """The server will not have it, now or later: most often the task is somebody else's by now."""


class Stop(Exception):
    """The task was cancelled, or lost: end the work."""


def post(path, body, wait=0.0):
    """Sends JSON and returns the answer's. Raises Refused, or OSError where it is worth another try."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(SERVER + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=wait + LEASE / 3) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        if error.code >= 500 or error.code == 429:
            raise  # an OSError
        raise Refused(error.read().decode(errors="replace")) from None


class Lease:
    """Holds a task: a thread renews the lease every third of it, and hears of a cancel."""

    def __init__(self, task):
        self.id, self.token = task["id"], task["lease"]["token"]
        self.cancelled = threading.Event()  # asked for, or the lease is lost
        self.ended = threading.Event()
        self.progress = None
        threading.Thread(target=self.beat, daemon=True).start()

    def beat(self):
        while not self.ended.wait(LEASE / 3):
            lease = {"id": self.id, "token": self.token}
            if self.progress is not None:
                lease["progress"], self.progress = self.progress, None
            try:
                answer = post("/api/worker/heartbeat", {"worker": WORKER, "leases": [lease]})
            except (OSError, Refused):
                continue  # the next beat may get through; if none does, the server gives the task to another
            if answer["directive"] != "run":
                stopping.set()
            if answer["leases"][0]["status"] != "ok":
                self.cancelled.set()

    def say(self, verb, **body):
        """Ends the attempt, and says so until somebody hears it: the same word twice is the same as once."""
        while True:
            try:
                return post(f"/api/task/{self.id}/{verb}", {"token": self.token, **body})
            except Refused as refused:
                return print(f"task {self.id}: {verb} was refused: {refused}", flush=True)
            except OSError:
                time.sleep(1)


def work(task, lease):
    """The work itself: counts to payload.seconds. Looks now and then whether it is still wanted."""
    seconds = float((task.get("payload") or {}).get("seconds", 1))
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < seconds:
        lease.progress = {"percent": min(100, 100 * elapsed / seconds), "message": "counting"}
        if lease.cancelled.wait(min(0.1, seconds - elapsed)):
            raise Stop
    return {"counted": seconds, "by": WORKER}


def run(task):
    lease = Lease(task)
    print(f"task {task['id']}: attempt {task['attempt']}", flush=True)
    try:
        result = work(task, lease)
    except Stop:
        lease.say("release")  # after a cancel this ends the task as cancelled
    except Exception as error:  # whatever goes wrong in the work is the task's failure, not the worker's
        lease.say("fail", error={"code": "handler_error", "message": str(error)}, retryable=True)
    else:
        lease.say("complete", result=result)
    finally:
        lease.ended.set()


def main():
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    wait = LEASE / 3  # short enough that SIGTERM is heeded soon, and that a lease is never half over when it comes
    while not stopping.is_set():
        ask = {"worker": WORKER, "types": [TYPE], "max": 1, "lease": f"{LEASE}s", "wait": f"{wait}s"}
        try:
            answer = post("/api/worker/claim", ask, wait)
        except OSError as error:
            print(f"the server does not answer: {error}", flush=True)
            stopping.wait(1)
            continue
        for task in answer["tasks"]:
            run(task)
        if answer["directive"] != "run":
            break


if __name__ == "__main__":
    main()
