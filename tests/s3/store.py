"""An S3 server (moto) in a process of its own, for `tests/s3`.

Prints its port, then takes one JSON object a line: `{"do": "put", ...}`, and answers each with one. It ends with its input.
"""

import json
import logging
import sys
import threading

import boto3
import requests
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.ERROR)


class Counted:
    """The server, with a list of what it was asked and the bytes that it answered."""

    def __init__(self, app):
        self.app, self.seen, self.lock = app, [], threading.Lock()

    def __call__(self, environ, start_response):
        entry = {
            "method": environ["REQUEST_METHOD"],
            "path": environ["PATH_INFO"],
            "range": environ.get("HTTP_RANGE"),
            "bytes": 0,
        }
        with self.lock:
            self.seen.append(entry)
        for piece in self.app(environ, start_response):
            entry["bytes"] += len(piece)
            yield piece


app = Counted(DomainDispatcherApplication(create_backend_app))
server = make_server("127.0.0.1", 0, app, threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
where = f"http://127.0.0.1:{server.server_port}"
given = dict(endpoint_url=where, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
s3 = boto3.client("s3", **given)


def put(bucket, key, file):
    with open(file, "rb") as content:
        return s3.put_object(Bucket=bucket, Key=key, Body=content.read())["ETag"]


def get(bucket, key, file):
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    with open(file, "wb") as to:
        to.write(body)


def listed(bucket):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def uploads(bucket):
    return [u["Key"] for u in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


def strict():
    """From here on three users are let in: one who may do anything, one who may read, one who may do nothing. Gives their keys."""
    iam = boto3.client("iam", **given)
    keys = []
    for name, actions in (("owner", ["s3:*"]), ("reader", ["s3:Get*", "s3:List*"]), ("nobody", [])):
        iam.create_user(UserName=name)
        if actions:
            allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
            iam.put_user_policy(UserName=name, PolicyName="some", PolicyDocument=json.dumps(allowed))
        keys.append(iam.create_access_key(UserName=name)["AccessKey"])
    requests.post(f"{where}/moto-api/reset-auth", data="0").raise_for_status()
    return [[key["AccessKeyId"], key["SecretAccessKey"]] for key in keys]


def seen(clear):
    with app.lock:
        entries = list(app.seen)
        if clear:
            app.seen.clear()
    return entries


commands = {
    "bucket": lambda bucket: s3.create_bucket(Bucket=bucket) and None,
    "put": put,
    "get": get,
    "list": listed,
    "uploads": uploads,
    "strict": strict,
    "seen": seen,
}

print(server.server_port, flush=True)
for line in sys.stdin:
    command = json.loads(line)
    try:
        answer = {"ok": commands[command.pop("do")](**command)}
    except Exception as error:  # the test shows it
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
