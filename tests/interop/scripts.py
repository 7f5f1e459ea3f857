"""Makes one call of test.Test/Call with Python's grpcio, and prints how it went, as JSON.

Arguments: the target, a service config, "unary" or "client_streaming", and the timeout in seconds.
"""

import json
import sys

import grpc

target, config, kind, timeout = sys.argv[1:]
# The message google.protobuf.StringValue of a text of less than 128 bytes.
requests = [b"\x0a" + bytes([len(text)]) + text for text in (b"one", b"two")]

with grpc.insecure_channel(target, options=[("grpc.service_config", config)]) as channel:
    try:
        if kind == "unary":
            channel.unary_unary("/test.Test/Call")(requests[0], timeout=float(timeout))
        else:
            channel.stream_unary("/test.Test/Call")(iter(requests), timeout=float(timeout))
        code = 0
    except grpc.RpcError as error:
        code = error.code().value[0]

print(json.dumps({"code": code}))
