"""Prints the cases of a file with the violations that protovalidate finds, by the descriptors in a set."""

import json
import pathlib
import sys

import protovalidate
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory


def read_pool(path):
    pool = descriptor_pool.DescriptorPool()
    descriptors = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(path).read_bytes())
    for file in descriptors.file:
        pool.Add(file)
    return pool


def subscript(element):
    match element.subscript:
        case None:
            return ""
        case chosen if chosen.field == "string_key":
            return f"[{json.dumps(chosen.value, ensure_ascii=False)}]"
        case chosen:
            return f"[{json.dumps(chosen.value)}]"


def path(violation):
    elements = violation.field.elements if violation.field else []
    return ".".join(element.field_name + subscript(element) for element in elements)


def violations(message):
    try:
        found = protovalidate.collect_violations(message)
    except protovalidate.EvaluationError:
        return "cannot be evaluated"
    return [[path(violation.proto), violation.proto.rule_id] for violation in found]


pool = read_pool(sys.argv[1])
Case = message_factory.GetMessageClass(pool.FindMessageTypeByName("cases.Case"))
cases = json.loads(pathlib.Path(sys.argv[2]).read_text())
for case in cases.values():
    message = json_format.ParseDict(case["request"], Case(), descriptor_pool=pool)
    case["violations"] = violations(message)
print(json.dumps(cases, indent=2, ensure_ascii=False))
