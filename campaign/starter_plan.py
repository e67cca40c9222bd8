"""The plans that come with the program, as text: the commented one that ``init`` writes, and the demo's.

``examples/`` holds the same texts for people who look there first; a test keeps them equal. Pure; the launcher's process
uses it.
"""

STARTER_PLAN = """\
# A night for an HTTP server. Copy it, set the target, look at what would happen, then run it:
#
#     python3 launch_autonomous_testing.py plan PLAN.yaml
#     python3 launch_autonomous_testing.py check PLAN.yaml
#     python3 launch_autonomous_testing.py run PLAN.yaml
#
# Every key is optional but target.url, and every key that is not known is refused. docs/plan.md describes them all.
# Durations carry their unit: 90s, 30min, 1h30min.

name: overnight-http

window:
  until: 07:00              # all has ended by then, the report included; or: hours: 8
  # timezone: Europe/Berlin # this host's zone unless given

target:
  name: shop
  url: http://127.0.0.1:8080
  # headers:
  #   Authorization: "Bearer ${env:SHOP_TOKEN}"   # the secret stays in the environment
  # allow: [shop.example.org]                     # hosts outside loopback and private ranges, by name

scenario:                   # the mix of requests; weights are relative
  - name: front_page
    weight: 5
    path: /
  - name: search
    weight: 2
    path: /search?q=lamp
    timeout: 5s
    contains: ["results"]
  - name: order
    weight: 1
    method: POST
    path: /orders
    json: {item: 1, quantity: 2}
    expect_status: [201]
    # think: {min: 1s, max: 3s}                   # a pause after it; docs/plan.md: values taken from answers, checks, feeders

# Eight phases run unless you write your own. They are scaled together until they fit into the window.
phases:
  - name: warmup
    duration: 30min
    connections: 2          # virtual users at the same time
    operations: 10          # per session: connect, so many operations, disconnect, again
    level: low              # pace and criteria: low, moderate, high, extreme, sustained, or your own under levels
    threshold_multiplier: 0.8
    required_health: 60
    priority: 70            # when the window is short, the lowest is cut first
  - name: working_day
    duration: 3h
    duration_min: 30min
    connections: 8
    operations: 50
    level: moderate
    priority: 90
  - name: peak
    duration: 1h
    connections: 20
    operations: 100
    level: high
    threshold_multiplier: 1.1
    required_health: 80
    priority: 80
    # search: true          # its second half looks for the highest rate that is just carried
    # arrivals: {rate: 50}  # operations arrive so often, whether or not earlier ones were answered; connections: at most

# levels:
#   moderate: {pace: 3}     # operations per second and connection; the rest stays as it is
#   readers: {think: 2s, success: 95, response: 1s} # instead of pace: so long after the last answer
#   checkout: {pace: 0.5, success: 99, response: 1s}

break: 5min                 # between two phases; the anchor load lies inside it
anchor: {duration: 2min}    # the first phase's load, before each phase and at the end: it tells drift from load
cooldown: 30min             # after a phase that failed

safety:                     # the guardian's limits, percent of this machine
  memory: 80
  cpu: 85
  disk: 90
"""

DEMO_PLAN = """\
# The demo: eight short phases and a search against the bundled shop. `make demo` compresses this hour into two minutes.
#
#     python3 launch_autonomous_testing.py run --demo --compress 2min
#
# The demo's own levels are faster than the catalogue's, so that even six seconds of a phase make enough operations for
# a verdict. --demo starts the shop on a free port and puts its address in the place of this one.

name: demo

window: {hours: 1}

target:
  name: demo-shop
  url: http://127.0.0.1:8765

scenario:
  - {name: catalogue, weight: 4, path: /catalogue}
  - {name: item, weight: 3, path: /item/1, contains: ["price"]}
  - {name: search, weight: 1, path: /search?q=abc}
  - {name: health, weight: 1, path: /health}
  - name: order
    weight: 1
    method: POST
    path: /orders
    json: {item: 1, quantity: 2}
    expect_status: [201]

levels:                     # pace: operations per second and connection
  low: {pace: 10, success: 95, response: 500ms}
  moderate: {pace: 12, success: 95, response: 500ms}
  high: {pace: 14, success: 90, response: 1s}
  extreme: {pace: 15, success: 90, response: 1s}
  sustained: {pace: 12, success: 90, response: 1s}

phases:
  - {name: warmup, duration: 3min, connections: 4, operations: 10, level: low, threshold_multiplier: 0.8, required_health: 60}
  - {name: light_load, duration: 3min, connections: 5, operations: 15, level: low, threshold_multiplier: 0.9, required_health: 60}
  - {name: moderate_load_1, duration: 3min, connections: 6, operations: 20, level: moderate, required_health: 60}
  - {name: moderate_load_2, duration: 3min, connections: 7, operations: 20, level: moderate, required_health: 60}
  - {name: high_load_1, duration: 3min, connections: 9, operations: 25, level: high, threshold_multiplier: 1.1, required_health: 60}
  - {name: high_load_2, duration: 3min, connections: 11, operations: 25, level: high, threshold_multiplier: 1.1, required_health: 60}
  - {name: stress_test, duration: 11min, connections: 15, operations: 30, level: extreme, threshold_multiplier: 1.1, required_health: 60,
     search: {share: 75%, start: 1000}}   # then: the highest rate that the shop just carries
  - {name: endurance_test, duration: 4min, connections: 8, operations: 40, level: sustained, required_health: 60}

baseline: {idle: 2min}
break: 2min                 # the anchor fills it
anchor: {duration: 2min}
cooldown: 1min

health:
  minimum: 60
  response_slo: 250ms
  response_limit: 1s

safety:
  cpu: 95                   # shop and load share this machine here, and some have only two cores
"""
