"""What people write who come from other systems, and what it is called here."""

from collections.abc import Mapping

# Key → what to say, and the key to write instead where one word does it.
Hint = tuple[str, str | None]

_CONDITION = "a condition is only_if (must hold) or unless (must not)"
_GITHUB = "you may come from GitHub Actions: on → when, steps → do, if → only_if"
_HOME = "you may come from Home Assistant: triggers → when, conditions → only_if, actions → do"

_RUN = (
    "no action 'run'; a script: shell: {run: echo hi} "
    "('run:' on the flow says how executions share the machine)"
)

FLOW_HINTS: Mapping[str, Hint] = {
    "on": (f"a flow begins with when; {_GITHUB}", "when"),
    "true": (f"a flow begins with when; {_GITHUB}", "when"),
    "jobs": (f"a flow has steps under do, without jobs; {_GITHUB}", "do"),
    "steps": (f"the steps of a flow stand under do; {_GITHUB}", "do"),
    "trigger": (f"a flow begins with when; {_HOME}", "when"),
    "triggers": (f"a flow begins with when; {_HOME}", "when"),
    "condition": (f"{_CONDITION}; {_HOME}", "only_if"),
    "conditions": (f"{_CONDITION}; {_HOME}", "only_if"),
    "action": (f"the steps of a flow stand under do; {_HOME}", "do"),
    "actions": (f"the steps of a flow stand under do; {_HOME}", "do"),
    "alias": ("a flow is named by flow: (lower case, with -), told by about:", "about"),
    "automation": ("a flow is named by flow:", "flow"),
    "name": ("a flow is named by flow: and told by about:", "flow"),
    "id": ("a flow is named by flow:", "flow"),
    "description": ("what a flow is for stands in about", "about"),
    "if": (_CONDITION, "only_if"),
    "filter": (_CONDITION, "only_if"),
    "mode": ("how executions share the machine: run: {mode: single}", None),
    "max": ("how executions share the machine: run: {max: 16}", None),
    "concurrency": ("how executions share the machine: run: {mode: queue, key: …}", "run"),
    "env": ("names for values stand in vars; env.NAME reads the environment", "vars"),
    "variables": ("names for values stand in vars", "vars"),
    "inputs": ("inputs belong to the call source: when: {call: {inputs: {…}}}", None),
    "input": (
        "you may come from Benthos: input → when, pipeline → do, output → the last step",
        "when",
    ),
    "pipeline": ("you may come from Benthos: input → when, pipeline → do", "do"),
    "schedule": ("a schedule is a trigger: when: {schedule: {cron: …}}", "when"),
    "tasks": ("the steps of a flow stand under do", "do"),
    "nodes": ("you may come from n8n or Node-RED: a flow is a list of steps under do", "do"),
    "finally_do": ("finally holds the steps that always run", "finally"),
    "on_failure": ("on_error holds the steps that run when the flow fails", "on_error"),
    "on_success": ("put what follows success at the end of do", None),
    "retries": ("retry: 3", "retry"),
    "disabled": ("a flow that rests says enabled: false", "enabled"),
}
STEP_HINTS: Mapping[str, Hint] = {
    "if": (_CONDITION, "only_if"),
    "condition": (_CONDITION, "only_if"),
    "filter": (_CONDITION, "only_if"),
    "when": (_CONDITION, "only_if"),
    "name": ("what a step is for stands in about, what it is called in id", "about"),
    "description": ("what a step is for stands in about", "about"),
    "run": (_RUN, None),
    "uses": ("there are no packages of steps: a step has one action, such as http or shell", None),
    "with": ("with stands beside call; other actions take their fields under their own key", None),
    "continue-on-error": ("on_error: continue", None),
    "continue_on_error": ("on_error: continue", None),
    "ignore_errors": ("on_error: continue", None),
    "retries": ("retry: 3", "retry"),
    "timeout-minutes": ("timeout: 5m", None),
    "foreach": ("a loop is each: with item inside", "each"),
    "for_each": ("a loop is each: with item inside", "each"),
    "loop": ("a loop over a list is each, until a condition repeat", "each"),
    "with_items": ("a loop is each: with item inside", "each"),
    "sleep": ("waiting is wait: 5m", "wait"),
    "delay": ("waiting is wait: 5m", "wait"),
    "script": ("a script: shell: {run: …}", None),
    "command": ("a command: shell: {args: [program, argument]}", None),
    "exec": ("a command: shell: {args: [program, argument]}", "shell"),
    "service": ("a step has one action, such as http: {post: …}", None),
    "action": ("a step has one action as its key, such as http: {post: …}", None),
    "catch": ("on_error holds the steps that rescue", "on_error"),
    "rescue": ("on_error holds the steps that rescue", "on_error"),
    "else": ("choose has the branches: choose: [{only_if: …, do: […]}, {do: […]}]", "choose"),
    "switch": ("choose has the branches: choose: [{only_if: …, do: […]}, {do: […]}]", "choose"),
    "print": ("log writes a line", "log"),
    "echo": ("log writes a line", "log"),
    "email": ("mail is email.send: {to, subject, text}", "email.send"),
    "webhook": ("requests are http: {post: …}", "http"),
    "request": ("requests are http: {post: …}", "http"),
    "file": ("files are file.read, file.write, file.append, file.move, file.copy, …", None),
    "inputs": ("inputs are given under with:", "with"),
}
TRIGGER_HINTS: Mapping[str, Hint] = {
    "if": (_CONDITION, "only_if"),
    "condition": (_CONDITION, "only_if"),
    "filter": (_CONDITION, "only_if"),
    "webhook": ("webhooks are http: {path: …, verify: …}", "http"),
    "cron": ('schedules are schedule: {cron: "…"}', None),
    "every": ("schedules are schedule: {every: 15m}", None),
    "interval": ("schedules are schedule: {every: 15m}", None),
    "timer": ("schedules are schedule: {every: 15m}", "schedule"),
    "time": ('schedules are schedule: {at: ["07:30"]}', "schedule"),
    "platform": ("a trigger has its source as its key, such as mqtt: {…}", None),
    "push": ("GitHub calls a webhook: http: {path: …, verify: {github: …}}", None),
    "manual": ("a flow started by hand has call: {}", "call"),
    "workflow_dispatch": ("a flow started by hand has call: {}", "call"),
    "do": ("do stands beside when, not in it", None),
    "rate_limit": ("at most so many starts in a time: throttle: {max: 20, per: 1m}", "throttle"),
    "deduplicate": ("repeats are dropped by dedup: {id: …}", "dedup"),
}
RETRY_HINTS: Mapping[str, Hint] = {
    "backoff": ("the delay grows by factor: retry: {max: 5, delay: 10s, factor: 2}", None),
    "interval": ("the first delay is delay: retry: {max: 5, delay: 10s, factor: 2}", "delay"),
    "attempts": ("max counts the attempts after the first: retry: {max: 5}", "max"),
    "count": ("max counts the attempts after the first: retry: {max: 5}", "max"),
    "limit": ("max counts the attempts after the first: retry: {max: 5}", "max"),
    "times": ("max counts the attempts after the first: retry: {max: 5}", "max"),
    "multiplier": ("the delay grows by factor", "factor"),
    "timeout": (
        "timeout stands beside retry and bounds one attempt; all of them: within",
        "within",
    ),
    "if": (_CONDITION, "only_if"),
    "on": ("which failures: retry: {max: 5, only_if: error.status >= 500}", "only_if"),
}
ON_ERROR_WORDS: Mapping[str, str] = {
    "ignore": "continue",
    "skip": "continue",
    "pass": "continue",
    "resume": "continue",
    "stop": "fail",
    "abort": "fail",
}
