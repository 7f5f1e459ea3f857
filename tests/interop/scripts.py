"""Makes calls of test.Test/Call with Python's grpcio: for each line read, one call, whose outcome it prints, as JSON.

The argument is the kind of method, as grpc.Channel names it; a line is a target, a service config, and the timeout in
seconds.
"""

import json
import sys

import grpc
from google.protobuf.wrappers_pb2 import StringValue

kind = sys.argv[1]
takes_one, gives_one = (side == "unary" for side in kind.split("_"))
requests = [StringValue(value="one"), StringValue(value="two")]


def outcome_of(target, config, timeout):
    messages = []
    with grpc.insecure_channel(target, options=[("grpc.service_config", config)]) as channel:
        method = getattr(channel, kind)(
            "/test.Test/Call",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=StringValue.FromString,
        )
        request = requests[0] if takes_one else iter(requests)
        try:
            if gives_one:
                message, call = method.with_call(request, timeout=timeout)
                # None, where an OK came without a message.
                messages += [message] if message else []
            else:
                call = method(request, timeout=timeout)
                for message in call:
                    messages.append(message)
        except grpc.RpcError as error:
            call = error
        return {
            "code": call.code().value[0],
            "message": call.details() or "",
            "messages": [message.value for message in messages],
            "metadata": readable(call.initial_metadata()) + readable(call.trailing_metadata()),
        }


def readable(metadata):
    return [(key, value.hex() if isinstance(value, bytes) else value) for key, value in metadata or ()]


for line in sys.stdin:
    print(json.dumps(outcome_of(*json.loads(line))), flush=True)
