"""Results and evidence into one HTML page that asks nothing of the network."""

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from eval.metrics.registry import COLUMNS, columns_of
from eval.report.charts import Chart
from eval.report.evidence import Evidence
from eval.report.figures import OURS, is_baseline, styles
from eval.report.literature import PUBLISHED
from eval.report.provenance import data_facts, step_rows, versions
from eval.report.summary import summary
from eval.report.tasks import beyond_table, charts, full_tables, gain_rows, metric_table, repeats_table, test_rows
from eval.results.task_result import TaskResult
from eval.semantic.measure import COLUMNS as SEMANTIC_COLUMNS

TITLES = {
    "next-song": "Next song",
    "playlist": "Playlist continuation",
    "cold-start": "Cold start",
    "discovery": "Discovery",
    "semantic": "What the vectors know",
}
DEFAULT_COLUMNS = ["recall@20", "recall@100", "ndcg@100", "mrr@20", "cold/recall@100"]


def render(results: Sequence[TaskResult], evidence: Evidence, source: str, made_at: str) -> str:
    """The page. source: the report's file name; made_at: when this page was written.

    Everything that comes from outside (titles, names, settings) is escaped by the template. The content policy allows
    our one script, by its hash, and no request at all.
    """
    environment = _environment()
    script = _script()
    manifests = dict(evidence.manifests)
    return environment.get_template("page.html").render(
        source=source,
        made_at=made_at,
        dataset=results[0]["dataset"],
        tasks=[_task(result, evidence) for result in results],
        evidence=evidence,
        steps=step_rows(evidence.manifests),
        versions=versions(evidence.manifests),
        data_facts=data_facts(manifests["dataset"]) if "dataset" in manifests else [],
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def picture(title: str, note: str, charts: Sequence[Chart]) -> str:
    """A page of charts alone, as SVG, which asks nothing of the network either."""
    return _environment().get_template("picture.html").render(title=title, note=note, charts=charts)


def _task(result: TaskResult, evidence: Evidence) -> dict[str, Any]:
    task = result["task"]
    hidden = "hidden" in result["protocol"]
    columns = SEMANTIC_COLUMNS if task == "semantic" else {str(k): columns_of(k, hidden) for k in COLUMNS}.get(task)
    return {
        "id": "".join(letter if letter.isalnum() else "-" for letter in task),
        "task": task,
        "title": TITLES.get(task, task.replace("-", " ").capitalize()),
        "simulated": bool(result["dataset"].get("simulated")),
        "sentences": summary(result),
        "protocol": result["protocol"],
        "table": metric_table(result, columns or DEFAULT_COLUMNS),
        "charts": charts(result),
        "beyond": beyond_table(result),
        "trainings": result.get("repeats", {}).get("trainings", 1),
        "repeats": repeats_table(result, columns or DEFAULT_COLUMNS),
        "tests": test_rows(result["tests"]),
        "gain": gain_rows(result),
        "full": full_tables(result),
        "styles": {} if task == "semantic" else styles(result),
        "ours": [name for name in result["models"] if name in OURS],
        "baselines": [name for name in result["models"] if is_baseline(name)],
        "asked": evidence.asked.get(task, []),
        "asked_note": evidence.asked_notes.get(task, ""),
        "costs": evidence.costs.get(task, {}),
        "seconds": result.get("seconds_per_model", {}),
        "seconds_in_all": result.get("seconds"),
        "published": PUBLISHED.get(task, ()),
        "models": list(result["models"]),
    }


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _script() -> str:
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), "script.js")[0].strip()
