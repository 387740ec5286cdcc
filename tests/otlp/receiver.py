"""An OTLP receiver for scenarios: writes what it is sent to a file, one JSON object per line.

It shares no code with what it looks at: the messages come from the opentelemetry-proto package.

    receiver.py FILE [take|silent|refuse]

`take` writes down every span and every point of a metric. `silent` takes calls and never answers them. `refuse` answers
every call with PERMISSION_DENIED. The port is a free one, printed on standard output.
"""

import json
import sys
import threading
from concurrent import futures

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

WHAT, MODE = sys.argv[1], (sys.argv[2:] or ["take"])[0]
LOCK = threading.Lock()
NEVER = threading.Event()


def plain(value):
    """An attribute's value as JSON has it."""
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)


def attributes(pairs):
    found = {pair.key: plain(pair.value) for pair in pairs}
    assert len(found) == len(pairs), f"an attribute is there twice: {pairs}"
    return found


def spans(request):
    for resource in request.resource_spans:
        service = attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield {
                    "span": span.name,
                    "service": service.get("service.name"),
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "kind": span.kind,
                    "status": span.status.code,
                    "start": span.start_time_unix_nano,
                    "end": span.end_time_unix_nano,
                    "attributes": attributes(span.attributes),
                    "links": [{"trace": link.trace_id.hex(), "id": link.span_id.hex()} for link in span.links],
                }


def points(request):
    for resource in request.resource_metrics:
        service = attributes(resource.resource.attributes)
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                for point in data.data_points:
                    line = {
                        "metric": metric.name,
                        "unit": metric.unit,
                        "kind": kind,
                        "monotonic": kind == "sum" and data.is_monotonic,
                        "service": service.get("service.name"),
                        "attributes": attributes(point.attributes),
                        "time": point.time_unix_nano,
                    }
                    if kind == "histogram":
                        line |= {
                            "count": point.count,
                            "sum": point.sum,
                            "buckets": list(point.bucket_counts),
                            "bounds": list(point.explicit_bounds),
                        }
                    else:
                        line["value"] = getattr(point, point.WhichOneof("value"))
                    yield line


def take(lines, answer, context):
    if MODE == "silent":
        NEVER.wait()
    if MODE == "refuse":
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "this receiver takes nothing")
    metadata = {key: value for key, value in context.invocation_metadata() if key.startswith("x-")}
    with LOCK, open(WHAT, "a", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line | {"headers": metadata}, sort_keys=True) + "\n")
    return answer


class Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request, context):
        return take(spans(request), trace_service_pb2.ExportTraceServiceResponse(), context)


class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def Export(self, request, context):
        return take(points(request), metrics_service_pb2.ExportMetricsServiceResponse(), context)


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"listening {port}", flush=True)
    server.wait_for_termination()


main()
