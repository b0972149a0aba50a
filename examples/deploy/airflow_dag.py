"""A DAG for Airflow 3: what it takes, then the users whose history changed; gates decide, people hear of a refusal."""

from __future__ import annotations

import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

RUN, LOG, PLACE = "/srv/runs/books", "s3://events/books/", "s3://profiles/books"

with DAG(
    dag_id="trackrec_write",
    schedule="15 2 * * *",
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": datetime.timedelta(minutes=10)},
    tags=["recommendation"],
) as dag:
    plan = BashOperator(
        task_id="plan",
        bash_command=f"trackrec plan --run {RUN} --log {LOG} --share 0.05 --json",
    )
    # A retry goes on with the shards that are finished. Exit code 5 (another job is at work) is a skip, not a failure.
    # The machine of this task is a node of the Ray cluster (ray start --address=HEAD:6379 --num-cpus=0).
    write = BashOperator(
        task_id="write",
        bash_command=f"trackrec write --run {RUN} --log {LOG} --to {PLACE} --only changed --executor ray --json",
        skip_on_exit_code=5,
        env={"RAY_ADDRESS": "auto"},
        append_env=True,
    )
    status = BashOperator(
        task_id="status",
        bash_command=f"trackrec status {PLACE} --json",
        trigger_rule="all_done",
    )
    plan >> write >> status
