"""What stands for the metrics in a process without a metrics page."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from core import metrics
from core.noop_metrics import noop_metrics
from tests.helpers.paths import ROOT


def methods_used(one: Any) -> None:
    one.commands_total.labels("ps", "allow", "done").inc()
    one.command_duration_seconds.labels("ps").observe(0.1)
    one.store_up.set(1)
    one.history_lost_events_total.labels("h", "docker").inc(2)
    one.remove_engine("h", "docker")


def test_it_takes_what_metrics_take() -> None:
    methods_used(metrics.Metrics())
    methods_used(noop_metrics())


def test_it_imports_no_library() -> None:
    script = "import sys; from core import noop_metrics; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n", done.stderr
