"""Which test holds what scripts and operators were promised: commands, configuration, HTTP?

A promise has a test against the running daemon (``integration``), or against the whole program where there is no
daemon in it (``cli``, ``simulation``), and beside it the tests that know every case. Where only a room by itself is
tested, that is what stands here.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

TESTS = Path(__file__).parent
SURFACES, DAEMON = "integration/test_surfaces.py", "integration/test_daemon.py"
POLICIES = "integration/test_policies.py"
WEEKS = "statistical/test_last_week.py"
OF_POLICIES = "unit/config/test_policies.py"
ORDERS = "integration/test_commands.py"
COMMANDS = {
    "every command takes the words that scripts use": f"{SURFACES}::test_every_command_is_taken",
    "check-config prints policies; exit 0 and 78": f"{SURFACES}::test_exit_codes_and_streams",
    "results to stdout, logs to stderr; exit 0, 2, 78, 1": f"{SURFACES}::test_exit_codes_and_streams",
    "run: alerts reach people": f"{DAEMON}::test_the_right_alerts_reach_people",
    "run: what cannot be run says why": f"{DAEMON}::test_what_cannot_be_run_says_why",
    "demo finds what it plants": "unit/ingest/test_demo_plan.py::test_the_demo_keeps_what_the_planner_says",
    "demo: the same seed, the same events": "unit/ingest/test_demo.py::test_the_same_seed_gives_the_same_bytes",
    "replay --json: incidents, then a summary": "unit/cli/test_commands.py::test_replay_json",
    "replay --topic of a range": f"{DAEMON}::test_a_range_of_the_topic_can_be_replayed",
    "baseline build of a directory": "unit/cli/test_building.py::test_all_models_of_a_directory",
    "baseline build --topic": "integration/test_publish.py::test_references_of_a_range_of_a_topic",
    "baseline diff": "unit/catalog/test_profile_text.py::test_the_difference_is_a_table",
    "gate refuses what is worse": "unit/gate/test_gate.py::test_a_worse_candidate_is_refused",
    "baseline accept": f"{ORDERS}::test_the_present_accepted",
    "retire": f"{ORDERS}::test_the_end_of_a_watch",
    "ack, note, unack": f"{ORDERS}::test_acknowledged_noted_and_taken_back",
    "ack from the page": "integration/test_pages.py::test_acknowledged_from_the_page_by_keyboard",
    "exclude": f"{ORDERS}::test_a_stretch_taken_out",
    "drill": f"{ORDERS}::test_a_fire_drill",
    "store forget": f"{ORDERS}::test_a_person_forgotten",
    "report of a running daemon": f"{SURFACES}::test_the_past_of_a_model",
    "alerts test": f"{DAEMON}::test_a_test_alert_arrives",
    "assess of a topic": "integration/test_publish.py::test_an_assessment_of_a_topic",
    "baseline show": "unit/cli/test_commands.py::test_baseline_show",
    "drill --store": "unit/drill/test_rounds.py::test_a_store_can_be_drilled",
    "groups": f"{ORDERS}::test_whose_codes_they_are",
    "version": f"{SURFACES}::test_every_command_is_taken",
}
CONFIGURATION = {
    "bootstrap_servers, group_id, name": f"{DAEMON}::test_the_fleet_is_counted_exactly",
    "format": "integration/test_formats.py::test_headers_and_keys_reach_the_decoder",
    "path": f"{DAEMON}::test_a_store_belongs_to_one_daemon",
    "lateness": "faults/test_kills.py::test_each_in_its_counter",
    "idle": "integration/test_daemon_lives.py::test_a_disturbed_life_ends_like_an_undisturbed_one",
    "tick": "unit/config/test_policies.py::test_a_policy_says_its_own_tick_or_has_the_clock_s",
    "shares of drift, quality, performance and fairness": "unit/judging/test_budget.py::test_allowances_add_up",
    "per_model_per_week": "unit/judging/test_budget.py::test_allowances_add_up",
    "pages_per_team_per_day": "unit/incidents/test_attention.py::test_any_day_has_at_most_so_many",
    "listen, external_url": f"{DAEMON}::test_the_right_alerts_reach_people",
    "token_file": f"{SURFACES}::test_who_may_write",
    "retention of ticks": "unit/store/test_ticklog.py::test_forgotten_after_the_retention",
    "retention of cases": "unit/orders/test_forgetting.py::test_how_long_a_matured_case_is_known",
    "retention of incidents": "unit/store/test_checkpoint.py::test_resolved_incidents",
    "cluster.enabled": "faults/test_replicas.py::test_killed_under_load",
    "urls": f"{DAEMON}::test_alerts_end_with_their_fault",
    "match": f"{POLICIES}::test_nobody_else_is_told_of",
    "task": "unit/outcomes/test_joining.py::test_what_a_bare_number_is",
    "team": f"{DAEMON}::test_the_right_alerts_reach_people",
    "learn: events_min, events, for": "unit/catalog/test_references.py::test_complete_after_events_and_time",
    "keep_firing": f"{DAEMON}::test_alerts_end_with_their_fault",
    "sensitive": f"{POLICIES}::test_groups_by_code_or_by_value",
    "favourable, decision_threshold": "unit/groups/test_counting.py::test_decision_threshold",
    "favourable_outcomes": f"{OF_POLICIES}::test_favourable_outcomes_are_the_favourable_classes_unless_said",
    "reference, same-slot-last-week": f"{WEEKS}::test_weeks_that_repeat_are_quiet_and_a_level_that_changes_is_found",
    "error_rate in limits": f"{POLICIES}::test_contracts_and_costs",
    "costs: currency, false_positive, false_negative": f"{POLICIES}::test_contracts_and_costs",
    "tolerance of drift, impact_ratio, error_gap": f"{POLICIES}::test_nobody_else_is_told_of",
    "planned: from, until, note": f"{POLICIES}::test_nobody_else_is_told_of",
    "ignore by segment: arm": f"{POLICIES}::test_nobody_else_is_told_of",
    "watch_tags: tags, budget_share": f"{POLICIES}::test_watch_tags",
    "every key is documented, with its default": "unit/config/test_documented.py::test_the_example_has_every_key",
    "unknown keys name the nearest": f"{SURFACES}::test_exit_codes_and_streams",
    "the environment says every key": "unit/config/test_documented.py::test_every_key_can_be_said_by_the_environment",
    "flag, environment, file, default": "unit/config/test_load.py::test_a_flag_beats_the_environment_beats_the_file",
    "include": f"{POLICIES}::test_shadow_and_included_policies",
    "SIGHUP reloads, a bad file changes nothing": "integration/test_daemon_lives.py::test_a_hang_up_does_not_end_it",
    "secrets are never printed": "integration/test_kafka_security.py::test_secrets_stay_secret",
    "start_from": "integration/test_ingest_kafka.py::test_earliest_begins_at_the_beginning",
    "dead_letter_topic": f"{DAEMON}::test_dead_letters_are_counted_and_kept",
    "formats": "integration/test_formats.py::test_headers_and_keys_reach_the_decoder",
    "false_alarms_per_week": "statistical/test_unequal_errors.py::test_a_gap_of_the_tolerance_stays_within_the_budget",
    "cluster: a second member is refused": "integration/test_second_member.py::test_a_second_store_is_refused",
    "smallest_group": f"{POLICIES}::test_smallest_group",
    "group_salt_file": f"{POLICIES}::test_groups_by_code_or_by_value",
    "external_labels": f"{POLICIES}::test_allowed_outputs_and_owners",
    "all policies of the manual are taken": f"{SURFACES}::test_exit_codes_and_streams",
    "outcome_horizon": f"{POLICIES}::test_contracts_and_costs",
    "outcomes_observed": "simulation/test_by_group.py::test_selective_outcomes_are_not_identified",
    "explain_by": f"{POLICIES}::test_explain_by",
    "season": "statistical/test_seasons.py::test_within_the_budget",
    "tolerance": f"{POLICIES}::test_nobody_else_is_told_of",
    "split_by": f"{POLICIES}::test_split_by",
    "upstreams": f"{POLICIES}::test_upstreams",
    "allowed_outputs": f"{POLICIES}::test_allowed_outputs_and_owners",
    "owners": f"{POLICIES}::test_allowed_outputs_and_owners",
    "mode = shadow": f"{POLICIES}::test_shadow_and_included_policies",
    "ignore": f"{POLICIES}::test_nobody_else_is_told_of",
    "planned": f"{POLICIES}::test_nobody_else_is_told_of",
    "watch_tags": f"{POLICIES}::test_watch_tags",
    "hold": f"{POLICIES}::test_nobody_else_is_told_of",
    "include_group_values": f"{POLICIES}::test_groups_by_code_or_by_value",
    "reference = previous-version": f"{POLICIES}::test_previous_version",
    "limits, costs, positive": f"{POLICIES}::test_contracts_and_costs",
    "missing_outcome": f"{POLICIES}::test_missing_outcome",
}
HTTP = {
    "probes need no token, all else does; HEAD": f"{SURFACES}::test_probes_need_no_token_and_everything_else_does",
    "lists, search, order, cursors; errors have a code": f"{SURFACES}::test_lists",
    "a model's document; 404": f"{SURFACES}::test_a_model_in_detail",
    "history by range": f"{SURFACES}::test_the_past_of_a_model",
    "ack and note need write; teams; read only else": f"{SURFACES}::test_who_may_write",
    "every answer is as /openapi.json describes": f"{DAEMON}::test_every_document_is_as_described",
    "every route is described": "unit/web/test_openapi.py::test_every_route_is_described_and_nothing_else",
    "what happened is told": f"{DAEMON}::test_the_api_tells_what_happened",
    "/metrics and /metrics/models": f"{DAEMON}::test_prometheus_takes_every_promised_metric",
    "drifting features are exported": f"{DAEMON}::test_features_are_exported_while_they_drift",
    "pages, for everybody": "integration/test_pages.py::test_everybody_can_read_every_page",
    "intervals may be looked at at any time": "statistical/test_groups.py::test_intervals_hold_at_all_times",
}


@cache
def _text(path: str) -> str:
    return (TESTS / path).read_text()


@pytest.mark.parametrize("promises", [COMMANDS, CONFIGURATION, HTTP], ids=["commands", "configuration", "http"])
def test_every_promise_has_a_test_that_is_there(promises: dict[str, str]) -> None:
    """No promise of the outside is without the test that is named for it."""
    gone = [
        f"{promise}: {test}"
        for promise, test in promises.items()
        if not re.search(rf"^def {test.split('::')[1]}\(", _text(test.split("::")[0]), re.MULTILINE)
    ]
    assert gone == []


CONTRACT = TESTS.parents[1] / "shared" / "design" / "contract.md"


def _keys(table: Mapping[str, Any], within: str = "") -> set[str]:
    """All keys of a table by their last names, tables of keys that people choose (of labels, say) left out."""
    found = set()
    for key, value in table.items():
        tables = [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]
        if within not in {"external_labels", "owners", "librdkafka", "ignore"} and not tables:
            found.add(key)
        found |= {name for each in tables for name in _keys(each, key)}
    return found


def test_nothing_of_the_contract_is_without_a_promise() -> None:
    """Every command and every key of the contract is named by a promise above."""
    if not CONTRACT.exists():
        pytest.skip(f"{CONTRACT} is not here")
    text = CONTRACT.read_text()
    commands = set(re.findall(r"`modelwatch ([a-z-]+(?: (?:build|show|diff|accept|test)\b)?)", text))
    (example,) = re.findall(r"```toml\n(include = .*?)```", text, re.DOTALL)
    told = {"commands": " ".join(COMMANDS), "keys": " ".join(CONFIGURATION)}
    asked = {"commands": commands, "keys": _keys(tomllib.loads(example))}
    assert all(len(names) > 10 for names in asked.values())
    missing = {
        kind: sorted(name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", told[kind]))
        for kind, names in asked.items()
    }
    assert missing == {"commands": [], "keys": []}
