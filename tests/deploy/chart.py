"""Lints the chart with Helm's own library, and prints what it renders, one JSON object for each set of values."""

import json
import sys

import helm_python

CHART, CASES = sys.argv[1], json.loads(sys.argv[2])
WARNING = 2

for values in CASES:
    report = helm_python.lint(CHART, values, strict=True, kube_version="v1.30.0")
    faults = [m for m in report["messages"] if m["severity"] >= WARNING]
    if faults or report["errors"]:
        sys.exit(f"{values}: {faults} {report['errors']}")
    chart = helm_python.Chart.load(CHART)
    chart.validate_schema(chart.merge_values(values))
    print(json.dumps(chart.render(values, name="heddle", namespace="mesh")))

# A schema that lets everything pass is none.
for values in [{}, {"xds": {"address": "no-port"}}, {"xds": {"address": "h:1"}, "replica": 3}]:
    chart = helm_python.Chart.load(CHART)
    try:
        chart.validate_schema(chart.merge_values(values))
    except helm_python.HelmError:
        continue
    sys.exit(f"{values} passes")
