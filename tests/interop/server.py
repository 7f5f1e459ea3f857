"""Serves probe.Probe with Python's grpcio, as each task says; prints its port, and stops with its standard input.

The first argument is how responses are compressed. Over TLS where files of a chain and a key follow; clients need
certificates where a file of roots follows those. The variable CHANNEL_OPTIONS has gRPC's options of servers, as JSON.
"""

import json
import os
import sys
from concurrent import futures

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import status_pb2
from grpc_status import rpc_status

import details
import probe_pb2
import probe_pb2_grpc


def rich_status(code):
    detail = any_pb2.Any()
    detail.Pack(duration_pb2.Duration(seconds=7))
    return rpc_status.to_status(status_pb2.Status(code=code, message="as told", details=[detail]))


class Probe(probe_pb2_grpc.ProbeServicer):
    def __init__(self):
        self.attempts = {}

    def check(self, task, context):
        if task.name == "all details":
            context.abort_with_status(rpc_status.to_status(details.status()))
        if task.code == 0:
            return
        attempts = self.attempts[task.name] = self.attempts.get(task.name, 0) + 1
        if task.failing_attempts and attempts > task.failing_attempts:
            return
        context.abort_with_status(rich_status(task.code))

    def outcome(self, task, index, context):
        metadata = dict(context.invocation_metadata())
        remaining = context.time_remaining()
        return probe_pb2.Outcome(
            name=task.name,
            index=index,
            previous_attempts=int(metadata.get("grpc-previous-rpc-attempts", 0)),
            remaining_ms=0 if remaining is None or remaining > 1e9 else int(remaining * 1000),
            trace_id=metadata.get("traceparent", "--").split("-")[1],
        )

    def caller(self, context):
        """What its certificate and its token say of a caller."""
        names = context.auth_context().get("x509_subject_alternative_name", [])
        peer = [("peer", b" ".join(names).decode())] if names else []
        return peer + [("token", v) for k, v in context.invocation_metadata() if k == "authorization"]

    def hang(self, context):
        done = futures.Future()
        context.add_callback(lambda: done.set_result(None))
        done.result()

    def Unary(self, task, context):
        self.check(task, context)
        if task.hang:
            self.hang(context)
        echoed = [(k, v) for k, v in context.invocation_metadata() if k.startswith("echo")]
        context.send_initial_metadata(echoed + self.caller(context))
        return self.outcome(task, 0, context)

    Retried = Unary

    def ServerStream(self, task, context):
        for index in range(task.count):
            yield self.outcome(task, index, context)
        self.check(task, context)
        if task.hang:
            self.hang(context)

    def ClientStream(self, tasks, context):
        count = 0
        for task in tasks:
            count += 1
            self.check(task, context)
        return self.outcome(task, count, context)

    def Bidi(self, tasks, context):
        for task in tasks:
            self.check(task, context)
            yield self.outcome(task, task.count, context)


def add_port(server, chain=None, key=None, roots=None):
    if chain is None:
        return server.add_insecure_port("127.0.0.1:0")
    chain, key, roots = (path and open(path, "rb").read() for path in (chain, key, roots))
    credentials = grpc.ssl_server_credentials(
        [(key, chain)], root_certificates=roots, require_client_auth=roots is not None
    )
    return server.add_secure_port("127.0.0.1:0", credentials)


def main():
    compression = getattr(grpc.Compression, sys.argv[1] if len(sys.argv) > 1 else "NoCompression")
    options = json.loads(os.environ.get("CHANNEL_OPTIONS", "{}"))
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=8), options=list(options.items()), compression=compression
    )
    probe_pb2_grpc.add_ProbeServicer_to_server(Probe(), server)
    print(add_port(server, *sys.argv[2:]), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(grace=None).wait()


main()
