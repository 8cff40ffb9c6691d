"""What answers W&B's client on this machine instead of its server."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def server(answer):
    """Answers every request by `answer(path, body)`: a status and bytes. Gives its address and the requests it got."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            requests.append((self.path, body))
            status, content = answer(self.path, body)
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client waited no longer

        do_GET = do_PUT = do_HEAD = do_POST  # noqa: N815

        def log_message(self, *_):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    made.block_on_close = False
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{made.server_port}", requests
    finally:
        made.shutdown()
        made.server_close()
        thread.join()


def failing(path, body):
    return 500, b'{"errors": [{"message": "out of order"}]}'


def stalling(path, body):
    time.sleep(30)
    return 200, b"{}"


def talking_rubbish(path, body):
    return 200, b"\x00\xff<html>{{{ not what was asked for"


def refusing(path, body):
    return 401, json.dumps({"errors": [{"message": "who are you?"}]}).encode()


class Working:
    """A server that takes one run: what W&B's client asks for, and no more."""

    def __init__(self):
        self.history = []  # the rows that are logged, in the order of their arrival
        self.summary = {}
        self.config = {}
        self.exit_code = None

    def __call__(self, path, body):
        if path.endswith("/file_stream"):
            self._take(json.loads(body))
            return 200, b"{}"
        if path.endswith("/graphql"):
            asked = json.loads(body)
            return 200, json.dumps({"data": self._data(asked["query"], asked.get("variables") or {})}).encode()
        return 200, b"{}"  # an upload

    def _take(self, sent):
        files = sent.get("files") or {}
        for row in files.get("wandb-history.jsonl", {}).get("content", []):
            self.history.append(json.loads(row))
        for row in files.get("wandb-summary.json", {}).get("content", []):
            self.summary = json.loads(row)
        if sent.get("complete"):
            self.exit_code = sent.get("exitcode")

    def _data(self, query, variables):
        bucket = {
            **{"id": "run-id", "name": "cafe0123", "displayName": "n", "description": None, "sweepName": None},
            **{"historyLineCount": len(self.history), "logLineCount": 0, "eventsLineCount": 0, "tags": []},
            **{"summaryMetrics": json.dumps(self.summary), "config": json.dumps(self.config), "eventsTail": "[]"},
            "historyTail": json.dumps([json.dumps(row) for row in self.history[-1:]]),
            "wandbConfig": json.dumps({"t": 1}),
            "project": {"id": "p", "name": "mae", "entity": {"id": "e", "name": "me"}},
        }
        if "RunResumeStatus" in query:
            known = bucket if self.history else None
            return {"model": {"id": "p", "name": "mae", "entity": {"id": "e", "name": "me"}, "bucket": known}}
        if "UpsertBucket" in query or "upsertBucket" in query:
            if variables.get("config"):
                self.config = json.loads(variables["config"])
            return {"upsertBucket": {"bucket": bucket, "inserted": not self.history}}
        if "CreateRunFiles" in query or "createRunFiles" in query:
            host = variables.get("files") or []
            files = [{"id": name, "name": name, "uploadUrl": None} for name in host]
            return {"createRunFiles": {"runID": "run-id", "uploadHeaders": [], "files": files}}
        if "viewer" in query.lower():
            return {"viewer": {"id": "v", "entity": "me", "username": "me", "teams": {"edges": []}, "flags": "{}"}}
        return {}
