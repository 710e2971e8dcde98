"""Inject every fault into a running stack and print what became of each: what `make faults` runs.

    .venv/test/bin/python -m tests.faults [--short] [--only NAME ...] [--seed N] [--table docs/faults.md]

The exit status is 1 if a row failed, or took longer than its limits. Limits of time depend on the machine, so this is
a measuring program. The suite `faults` of `make test` runs the short selection and asserts no time.
"""

import argparse
import sys
import time
from pathlib import Path

from services.stack.stack import StackError
from tests.faults.chaos import Chaos, add_chaos_arguments, plan_of, print_summary
from tests.faults.experiment import FAILED, SURVIVED, Limits, Outcome, run_fault
from tests.faults.process_control import exit_on_sigterm
from tests.faults.report import format_line, format_reasons, format_total, write_table
from tests.faults.selection import FAULTS, select_faults
from tests.faults.target import Target
from tests.faults.waiting import FaultFailureError

ROOT = Path(".tandem")
SHORT_ATTACK_S = 3.0
SHORT_CHAOS_JOBS = 40


def main(arguments: list[str]) -> int:
    """Run what the command line asks for, and return the exit status."""
    parsed = _parse(arguments)
    if parsed.list:
        for fault in FAULTS:
            print(f"{fault.name:22} {fault.source:10} {'short ' if fault.is_short else '      '} {fault.title}")
        return 0
    try:
        faults = select_faults(parsed.only, parsed.short)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    limits = Limits(
        recovery_s=parsed.recovery,
        patience_s=parsed.patience,
        prediction_ms=parsed.prediction_ms,
        health_ms=parsed.health_ms,
        memory_mb=parsed.memory_mb,
        attack_s=SHORT_ATTACK_S if parsed.short else parsed.attack,
        jobs=parsed.many,
    )
    exit_on_sigterm()
    target = Target(ROOT)
    outcomes: list[Outcome] = []
    has_chaos = not parsed.only and not parsed.no_chaos
    is_chaos_good = True
    print(f"{len(faults)} faults, seed {parsed.seed}", flush=True)
    started = time.monotonic()
    try:
        target.start()
        for fault in faults:
            is_healthy = bool(outcomes) and outcomes[-1].status == SURVIVED
            outcome = run_fault(fault, target, parsed.seed, limits, is_healthy)
            outcomes.append(outcome)
            _print(outcome)
            has_left_damage = outcome.status == FAILED and (outcome.lost or outcome.recovery_s is None)
            if has_left_damage and fault is not faults[-1]:
                target.restart_with_empty_state()
        if has_chaos:
            plan = plan_of(parsed)
            chaos = Chaos(target, plan)
            is_chaos_good = print_summary(chaos.run())
    except (StackError, FaultFailureError) as error:
        print(f"the stack did not start: {error}", file=sys.stderr)
        return 1
    finally:
        target.stop()
    print(f"{format_total(outcomes)}; {time.monotonic() - started:.0f} s")
    if parsed.table:
        write_table(outcomes, parsed.table)
    return int(any(outcome.status == FAILED for outcome in outcomes) or not is_chaos_good)


def _print(outcome: Outcome) -> None:
    print(format_line(outcome), *format_reasons(outcome), sep="\n", flush=True)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Inject faults into a running stack.")
    defaults = Limits()
    parser.add_argument("--list", action="store_true", help="list the faults and end")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="names or sources of faults")
    parser.add_argument("--short", action="store_true", help="a selection, and fewer jobs: about five minutes")
    parser.add_argument("--seed", type=int, default=0, help="decides everything that is random (default 0)")
    parser.add_argument("--table", type=Path, help="a Markdown document to write the table into")
    parser.add_argument("--recovery", type=float, default=defaults.recovery_s, help="seconds a recovery may take")
    parser.add_argument("--patience", type=float, default=defaults.patience_s, help="seconds to wait for a recovery")
    parser.add_argument("--prediction-ms", type=float, default=defaults.prediction_ms, help="p99 during an attack")
    parser.add_argument("--health-ms", type=float, default=defaults.health_ms, help="slowest health in an attack")
    parser.add_argument("--memory-mb", type=float, default=defaults.memory_mb, help="the gateway's, in an attack")
    parser.add_argument("--attack", type=float, default=defaults.attack_s, help="seconds that an attack lasts")
    parser.add_argument("--many", type=int, default=defaults.jobs, help="jobs of the rows with many jobs")
    parser.add_argument("--no-chaos", action="store_true", help="leave out the random kills at the end")
    add_chaos_arguments(parser)
    parsed = parser.parse_args(arguments)
    if parsed.short:
        parsed.jobs = SHORT_CHAOS_JOBS
    return parsed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
