"""Calls probe.Probe on the port given, with Python's grpcio; each function is one check, named by the second argument.

Over TLS where a file of roots follows; with a client certificate where its chain and key follow that. The variable
CHANNEL_OPTIONS has the channel's options, as JSON.
"""

import json
import os
import sys

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import error_details_pb2  # noqa: F401  (the checks need googleapis-common-protos)
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from grpc_status import rpc_status

import details
import probe_pb2
import probe_pb2_grpc
from wireloom import options_pb2

Task = probe_pb2.Task


def unary(stub):
    outcome, call = stub.Unary.with_call(
        Task(name="a"), metadata=[("echo", "spoken"), ("echo-bin", b"\x00\xff")]
    )
    assert outcome.name == "a"
    metadata = dict(call.initial_metadata())
    assert metadata["echo"] == "spoken", metadata
    assert metadata["echo-bin"] == b"\x00\xff", metadata


def server_streaming(stub):
    outcomes = list(stub.ServerStream(Task(name="a", count=1000)))
    assert [outcome.index for outcome in outcomes] == list(range(1000))


def client_streaming(stub):
    outcome = stub.ClientStream(Task(name=str(i)) for i in range(1000))
    assert (outcome.index, outcome.name) == (1000, "999"), outcome


def bidi_streaming(stub):
    outcomes = stub.Bidi(Task(name="a", count=i) for i in range(100))
    assert [outcome.index for outcome in outcomes] == list(range(100))


def compressed_requests(stub):
    large = Task(name="a" * 10_000)
    assert stub.Unary(large).name == large.name
    outcomes = stub.Bidi(iter([large, large]))
    assert [outcome.name for outcome in outcomes] == [large.name] * 2


def compressed_responses(stub):
    name = "a" * 10_000
    assert stub.Unary(Task(name=name)).name == name
    outcomes = stub.ServerStream(Task(name=name, count=2))
    assert [outcome.name for outcome in outcomes] == [name] * 2


def answers_around_the_window(stub):
    """Of a fresh stream there are 65,535 bytes of room: a little less, exactly that, more, and much more."""
    for size in (65_000, *range(65_500, 65_550), 100_000, 1_000_000):
        assert len(stub.Unary(Task(name="a" * size), timeout=20).name) == size


def reflection(_):
    # It speaks v1alpha. What it finds, it builds with all imports, and options of its own.
    database = ProtoReflectionDescriptorDatabase(channel)
    assert list(database.get_services()) == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "probe.Probe",
    ]
    pool = DescriptorPool(database)
    service = pool.FindServiceByName("probe.Probe")
    method = service.FindMethodByName("Retried")
    assert method.input_type.full_name == "probe.Task", method.input_type.full_name
    extension = pool.FindExtensionByName("wireloom.method")
    known = probe_pb2.DESCRIPTOR.services_by_name["Probe"].FindMethodByName("Retried")
    assert method.GetOptions().SerializeToString() == known.GetOptions().SerializeToString()
    assert method.GetOptions().SerializeToString()
    numbers = database.FindAllExtensionNumbers("google.protobuf.MethodOptions")
    assert extension.number in numbers, numbers
    assert pool.FindMessageTypeByName("grpc.health.v1.HealthListResponse")
    assert database.FindFileByName("google/protobuf/descriptor.proto").package == "google.protobuf"
    for find in (
        lambda: database.FindFileByName("none.proto"),
        lambda: database.FindFileContainingSymbol("probe.None"),
        lambda: database.FindAllExtensionNumbers("probe.None"),
    ):
        try:
            found = find()
        except KeyError:
            continue
        raise AssertionError(found)


def reflection_v1(_):
    info = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    # The client above has no way to ask for an extension.
    extension = reflection_pb2.ExtensionRequest(
        containing_type="google.protobuf.MethodOptions",
        extension_number=options_pb2.METHOD_FIELD_NUMBER,
    )
    asked = [
        reflection_pb2.ServerReflectionRequest(host="a", file_containing_symbol="probe.Probe.Unary"),
        reflection_pb2.ServerReflectionRequest(file_by_filename="none.proto"),
        reflection_pb2.ServerReflectionRequest(file_by_filename="probe.proto"),
        reflection_pb2.ServerReflectionRequest(file_containing_extension=extension),
    ]
    found, none, again, extending = info(iter(asked))
    assert (found.valid_host, found.original_request) == ("a", asked[0]), found
    assert len(found.file_descriptor_response.file_descriptor_proto) == 3, found
    assert none.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0], none
    assert len(again.file_descriptor_response.file_descriptor_proto) == 1, again
    (file,) = extending.file_descriptor_response.file_descriptor_proto
    assert FileDescriptorProto.FromString(file).name == "wireloom/options.proto"


def error_details(stub):
    error = failure(lambda: stub.Unary(Task(name="a")))
    # It fails where code and message are not those of the call.
    status = rpc_status.from_call(error)
    expected = details.status()
    packed = {detail.type_url: detail for detail in status.details}
    assert packed == {detail.type_url: detail for detail in expected.details}, status
    del status.details[:], expected.details[:]
    assert status == expected, status


def deadline(stub):
    for call in (
        lambda: stub.Unary(Task(name="a", hang=True), timeout=0.2),
        lambda: list(stub.ServerStream(Task(name="a", count=1, hang=True), timeout=0.2)),
    ):
        error = failure(call)
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error


def deadline_reaches_the_handler(stub):
    outcome = stub.Unary(Task(name="a"), timeout=60)
    # grpcio rounds timeouts up.
    assert 1 <= outcome.remaining_ms <= 61_000, outcome


def status_details(stub):
    error = failure(lambda: stub.Unary(Task(name="a", code=grpc.StatusCode.NOT_FOUND.value[0])))
    assert error.code() == grpc.StatusCode.NOT_FOUND, error
    assert error.details() == "as told", error
    trailers = dict(error.trailing_metadata())
    assert trailers["grpc-status-details-bin"] == b"\x08\x07", trailers
    assert trailers["attempt"] == "1", trailers


def status_after_messages(stub):
    responses = stub.ServerStream(Task(name="a", count=2, code=grpc.StatusCode.ABORTED.value[0]))
    assert next(responses).index == 0
    assert next(responses).index == 1
    error = failure(lambda: next(responses))
    assert error.code() == grpc.StatusCode.ABORTED, error


def unimplemented(stub):
    method = channel.unary_unary("/probe.Probe/Nothing")
    assert failure(lambda: method(b"")).code() == grpc.StatusCode.UNIMPLEMENTED


def health(stub):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    health = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest
    serving = health_pb2.HealthCheckResponse.SERVING
    for service in ("", "probe.Probe"):
        assert health.Check(request(service=service)).status == serving, service
    error = failure(lambda: health.Check(request(service="nobody")))
    assert error.code() == grpc.StatusCode.NOT_FOUND, error
    unknown = next(health.Watch(request(service="nobody")))
    assert unknown.status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN, unknown
    if hasattr(health, "List"):
        statuses = health.List(health_pb2.HealthListRequest()).statuses
        assert {name: of.status for name, of in statuses.items()} == {"": serving, "probe.Probe": serving}


def health_by_a_probe(stub):
    """As grpc_health_probe asks: a connection and a deadline of a second each, and one call."""
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(sys.argv[1]) as probe:
        grpc.channel_ready_future(probe).result(timeout=1)
        asked = health_pb2_grpc.HealthStub(probe).Check(health_pb2.HealthCheckRequest(), timeout=1)
        assert asked.status == health_pb2.HealthCheckResponse.SERVING, asked


def health_watch(stub):
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    request = health_pb2.HealthCheckRequest(service="probe.Probe")
    watch = health_pb2_grpc.HealthStub(channel).Watch(request)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    stub.Unary(Task(name="watching"))
    assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
    error = failure(lambda: next(watch))
    assert error.code() == grpc.StatusCode.UNAVAILABLE, error


def cancellation(stub):
    responses = stub.ServerStream(Task(name="cancelled", count=1, hang=True))
    next(responses)
    responses.cancel()


def many_connections(stub):
    """Calls until the channel has had five connections; none fails."""
    connected = []
    channel.subscribe(lambda state: state == grpc.ChannelConnectivity.READY and connected.append(state))
    while len(connected) < 5:
        stub.Unary(Task(name="a"), timeout=20)


def peer(stub):
    _, call = stub.Unary.with_call(Task(name="a"))
    print(dict(call.initial_metadata())["peer"], end="")


def bearer_token(stub):
    token = grpc.access_token_call_credentials("secret")
    _, call = stub.Unary.with_call(Task(name="a"), credentials=token)
    assert dict(call.initial_metadata())["token"] == "Bearer secret", call.initial_metadata()


def authorization(stub):
    """Unary is for those with a scope, Retried for those with another, ServerStream for all."""
    token = grpc.access_token_call_credentials(os.environ["TOKEN"])
    assert stub.Unary(Task(name="a"), credentials=token).name == "a"
    assert len(list(stub.ServerStream(Task(name="a", count=3)))) == 3
    error = failure(lambda: stub.Retried(Task(name="a"), credentials=token))
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED, error
    assert error.details().startswith("insufficient_scope"), error
    error = failure(lambda: stub.Unary(Task(name="a")))
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error
    forged = grpc.access_token_call_credentials(os.environ["TOKEN"][:-8] + "AAAAAAAA")
    error = failure(lambda: stub.Unary(Task(name="a"), credentials=forged))
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error
    assert error.details().startswith("invalid_token"), error


def refused(stub):
    error = failure(lambda: stub.Unary(Task(name="a"), timeout=20))
    assert error.code() == grpc.StatusCode.UNAVAILABLE, error


def pings(stub):
    """Calls that hang, until one is not ended by its server: prints how many were."""
    ended = 0
    while True:
        error = failure(lambda: stub.Unary(Task(name="a", hang=True), timeout=9))
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            break
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        print(error.details(), file=sys.stderr)
        ended += 1
    print(ended, end="")


def open_channel(target, roots=None, chain=None, key=None):
    options = list(json.loads(os.environ.get("CHANNEL_OPTIONS", "{}")).items())
    if roots is None:
        return grpc.insecure_channel(target, options)
    roots, chain, key = (path and open(path, "rb").read() for path in (roots, chain, key))
    credentials = grpc.ssl_channel_credentials(roots, private_key=key, certificate_chain=chain)
    # The certificate is for a name, the target is an address.
    options.append(("grpc.ssl_target_name_override", "probe.test"))
    return grpc.secure_channel(target, credentials, options)


def failure(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call succeeded")


channel = open_channel(sys.argv[1], *sys.argv[3:])
with channel:
    globals()[sys.argv[2]](probe_pb2_grpc.ProbeStub(channel))
