"""Places an order without items, and prints the violations that the server tells of."""

import sys

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

with grpc.insecure_channel(sys.argv[1]) as channel:
    # Messages as they are on the wire: an order whose customer is "eve".
    place = channel.unary_unary("/validated.Orders/Place")
    try:
        place(b"\x0a\x03eve", timeout=10)
    except grpc.RpcError as error:
        print(error.code().name)
        print(error.details())
        for detail in rpc_status.from_call(error).details:
            request = error_details_pb2.BadRequest()
            assert detail.Unpack(request), detail.type_url
            for violation in request.field_violations:
                print(violation.field, violation.reason, violation.description, sep=" | ")
