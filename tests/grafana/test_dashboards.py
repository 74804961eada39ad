"""What holds for every dashboard, looked at in the JSON that people import."""

import itertools
import json
import re
from typing import Any

import pytest

from grafana import COLUMNS, FOLDER
from grafana.__main__ import DASHBOARDS
from grafana.board import encode
from grafana.expressions import expressions, fill
from tests.grafana import families, promql

Json = dict[str, Any]

BOARDS: dict[str, Json] = {path.name: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}
QUERIES = expressions()

every_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def panels(board: Json) -> list[Json]:
    """Without the titles of rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_what_is_checked_in_is_what_the_code_says(name: str) -> None:
    written = (FOLDER / name).read_text("utf-8")
    assert written == encode(DASHBOARDS[name]), "python -m grafana writes it anew"


def test_there_are_no_others() -> None:
    assert set(BOARDS) == set(DASHBOARDS)


def test_links_and_bookmarks_hold_for_these() -> None:
    assert {board["uid"]: board["title"] for board in BOARDS.values()} == {
        "amqpd-overview": "amqpd / Overview",
        "amqpd-queues": "amqpd / Queues",
        "amqpd-connections": "amqpd / Connections and clients",
        "amqpd-runtime": "amqpd / Runtime and store",
    }


@every_board
def test_each_leads_to_the_others_and_shows_alerts(board: Json) -> None:
    [link] = board["links"]
    assert (link["type"], link["includeVars"], link["keepTime"]) == ("dashboards", True, True)
    assert link["tags"] == board["tags"] == ["amqpd"]
    [alerts] = board["annotations"]["list"]
    assert alerts["expr"].startswith("ALERTS{")


@every_board
def test_panels_have_numbers_of_their_own(board: Json) -> None:
    numbers = [panel["id"] for panel in board["panels"]]
    assert numbers == list(range(1, len(numbers) + 1))


@every_board
def test_panels_lie_beside_each_other_and_leave_no_hole(board: Json) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        lines = range(place["y"], place["y"] + place["h"])
        covered = set(itertools.product(columns, lines))
        assert not covered & cells, panel["title"]
        cells |= covered
    height = 1 + max(line for _, line in cells)
    assert cells == set(itertools.product(range(COLUMNS), range(height)))


@every_board
def test_titles_say_which_panel_of_a_row_is_meant(board: Json) -> None:
    titles: set[str] = set()
    for panel in board["panels"]:
        if panel["type"] == "row":
            titles.clear()
        else:
            assert panel["title"] not in titles
            titles.add(panel["title"])


@every_board
def test_each_panel_says_what_it_shows_in_which_unit_and_what_if_there_is_nothing(board: Json) -> None:
    for panel in panels(board):
        assert re.fullmatch(r"[A-Z].{20,}\.", panel["description"]), panel["title"]
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"], panel["title"]
        assert defaults["noValue"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@every_board
def test_each_query_has_a_letter_and_each_curve_a_legend(board: Json) -> None:
    for panel in panels(board):
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == [chr(ord("A") + index) for index in range(len(letters))]
        if panel["type"] != "table":
            legends = [target["legendFormat"] for target in panel["targets"]]
            assert all(legends), panel["title"]
            assert len(set(legends)) == len(legends), panel["title"]


@every_board
def test_a_table_names_all_its_columns_and_sorts_by_one(board: Json) -> None:
    for panel in panels(board):
        if panel["type"] == "table":
            names = panel["transformations"][1]["options"]["renameByName"]
            left = [promql.kept(target["expr"]) for target in panel["targets"]]
            assert set(names) == {f"Value #{target['refId']}" for target in panel["targets"]}.union(*filter(None, left))
            assert panel["options"]["sortBy"][0]["displayName"] in names.values()


def test_legends_name_labels_that_are_left() -> None:
    for query in QUERIES:
        kept = promql.kept(query.expr)
        if kept is not None:
            assert set(re.findall(r"{{(\w+)}}", query.legend)) <= kept, query


def test_what_is_asked_for_is_what_amqpd_gives() -> None:
    for query in QUERIES:
        assert promql.metrics(query.expr), query
        assert promql.metrics(query.expr) <= families.NAMES, query
        assert promql.labels(query.expr) <= families.LABELS, query


def test_instances_can_be_chosen_and_rates_follow_the_scrapes() -> None:
    for query in QUERIES:
        selectors = re.findall(r"\{[^}]*\}", query.expr)
        assert selectors, query
        assert all('instance=~"$instance"' in selector for selector in selectors), query
        assert set(re.findall(r"\[(.*?)\]", query.expr)) <= {"$__rate_interval", "$__range"}, query


def test_an_expression_can_be_filled_in_without_grafana() -> None:
    queue = 'sum(rate(messages{instance=~"$instance", vhost=~"$vhost", queue="$queue"}[$__rate_interval]))'
    filled = fill(queue, instance="a:1", vhost="/", queue="orders", interval="30s")
    assert filled == 'sum(rate(messages{instance=~"a:1", vhost=~"/", queue="orders"}[30s]))'
    assert not any("$" in fill(query.expr) for query in QUERIES)


@every_board
def test_variables_are_declared_and_used(board: Json) -> None:
    variables = board["templating"]["list"]
    declared = {variable["name"] for variable in variables}
    queries = [variable["query"] for variable in variables]
    used = promql.variables(json.dumps([board["panels"], board["annotations"], queries]))
    assert declared == used


@every_board
def test_variables_take_their_values_from_what_amqpd_gives(board: Json) -> None:
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            assert asked is not None
            assert promql.metrics(asked[1]) <= families.NAMES
            assert asked[2] in families.LABELS


@every_board
def test_links_lead_to_dashboards_and_variables_that_there_are(board: Json) -> None:
    declared = {each["uid"]: {var["name"] for var in each["templating"]["list"]} for each in BOARDS.values()}
    for uid, variables in re.findall(r'"/d/([\w-]+)\?(.*?)"', json.dumps(board)):
        assert set(re.findall(r"var-(\w+)=", variables)) <= declared[uid]


def test_overview_and_runtime_need_no_labels_of_objects() -> None:
    dashboards = {"amqpd-overview", "amqpd-runtime"}
    asked = {metric for query in QUERIES if query.dashboard in dashboards for metric in promql.metrics(query.expr)}
    assert not asked & families.DETAILED.keys()
