"""A plan that uses every kind of gate, every target and every rule around them, as far as they go together."""

import hashlib
from pathlib import Path
from typing import Any

from gnomon.plan import load
from tests.plan import custom_gates

CODE = hashlib.sha256(Path(custom_gates.__file__).read_bytes()).hexdigest()

KINDS_TEXT = f"""\
gnomon: 1
trial: every-kind
question: Is 2.0 as good as 1.4 in every way that one can ask?
production: {{version: "1.4", url: "http://127.0.0.1:9001"}}
candidate:  {{version: "2.0", url: "http://127.0.0.1:9002", capacity: 20%}}
routes: [POST /predict]
suitability: {{context: stateless, side_effects: none, cost_per_day: 40 EUR}}
fork: {{shadow_rate: 20%, twin: 5%}}
segments:
  country: {{from: body:/country, values: [DE, FR], top: 2, learn: 1000}}
output:
  label: body:/label
  score: {{from: body:/score, compare: number}}
  tokens: {{from: body:/usage/total, compare: number}}
  name: body:/name
truth:
  key: body:/id
  expected_within: 14d
  policy: last
  covers: all
  available_when: {{label: [legit, fraud]}}
unit: {{independent: true}}
gates:
  - accuracy:     {{of: label, no_worse_than: production, margin: 1pp}}
  - agreement:    {{of: label, no_worse_than: production, margin: 2pp}}
  - agreement:    {{of: name, at_least: 90%, where: overall}}
  - share:        {{of: fraud, output: label, within: {{overall: 0.5pp of production, otherwise: 2pp of production}}}}
  - error_rate:   {{no_worse_than: production, margin: 1.5 x production, where: overall}}
  - latency:      {{quantile: 99%, at_most: 1.2 x production, where: overall}}
  - recall:       {{of: fraud, output: label, no_worse_than: production, margin: 5pp, where: overall}}
  - precision:    {{of: fraud, output: label, no_worse_than: production, margin: 5pp, where: overall}}
  - loss:
      output: label
      costs: {{fraud: {{legit: 100, review: 20}}, legit: {{fraud: 10, review: 2}}}}
      otherwise: 50
      no_worse_than: production
      margin: 1pp
  - numeric:      {{of: score, scale: [0, 1], no_worse_than: production, margin: 1pp, where: overall}}
  - field:        {{of: [label, name, score], no_worse_than: production, margin: 1pp, where: overall}}
  - refusal_rate: {{of: refused, output: label, no_worse_than: production, margin: 1pp, where: overall}}
  - refusal_rate: {{of: refused, output: label, at_most: 2%, where: overall}}
  - cost:         {{of: tokens, scale: [0, 4000], at_most: 800, where: overall}}
  - custom:
      function: tests.plan.custom_gates:shorter
      digest: "{CODE}"
      no_worse_than: production
      margin: 5pp
      where: overall
targets:
  - accuracy: {{of: label, better_than: production, where: overall}}
  - recall:   {{of: fraud, output: label, better_than: production, where: overall}}
  - cost:     {{of: tokens, scale: [0, 4000], better_than: production, where: overall}}
samples:   {{overall: 5000, every_segment: 300}}
duration:  {{at_least: 7d, cycle: 7d, deadline: 42d}}
integrity: {{lost: 1%, start_lag: 500ms, probes: required}}
"""

KINDS: dict[str, Any] = load.parse(KINDS_TEXT, Path("plan.yaml")).document
