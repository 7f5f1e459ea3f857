"""A status with every kind of detail that google.rpc has, as error_details.rs makes it too."""

from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

DETAILS = [
    details.RetryInfo(retry_delay=duration_pb2.Duration(seconds=7)),
    details.DebugInfo(stack_entries=["at a"], detail="d"),
    details.QuotaFailure(violations=[{"subject": "s", "description": "d"}]),
    details.ErrorInfo(reason="R", domain="probe.test", metadata={"k": "v"}),
    details.PreconditionFailure(violations=[{"type": "T", "subject": "s", "description": "d"}]),
    details.BadRequest(field_violations=[{"field": "a.b", "description": "d"}]),
    details.RequestInfo(request_id="i", serving_data="x"),
    details.ResourceInfo(resource_type="t", resource_name="n", owner="o", description="d"),
    details.Help(links=[{"description": "d", "url": "https://probe.test"}]),
    details.LocalizedMessage(locale="de", message="nein"),
]


def status():
    packed = []
    for detail in DETAILS:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=9, message="not now", details=packed)
