"""`python -m benchmarks.defects` plants 200 defects on a stack of its own and tries to release each; prints a table.

`--short` takes ten defects and three good candidates. The exit status says whether every verdict is right but one.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.defects.campaign import Campaign, Verdict
from benchmarks.defects.cases import DIGITS, MNIST, list_cases, list_short_cases
from benchmarks.defects.data import read_digits, read_mnist
from benchmarks.stack import running_stack
from shared.models.open_registry import open_registry

RESULT = Path(".tandem/bench/defects.json")
ALLOWED_REFUSALS = 1
DURATION_S = 4  # of the load on each backend


def main() -> int:
    """Carry the cases out, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="ten defects and three good candidates")
    parser.add_argument("--kinds", nargs="*", default=[""], help="only kinds whose name contains one of these")
    parser.add_argument("--rate", type=float, default=20, help="requests per second in the gate `latency`")
    parser.add_argument("--bound-ms", type=float, default=100, help="bound of the gate `latency`")
    parser.add_argument("--mnist", type=Path, default=Path("data/mnist"), help="folder with the files of MNIST")
    parser.add_argument("--state", type=Path, help="folder for the state of the stack; by default a temporary one")
    arguments = parser.parse_args()
    cases = list_short_cases() if arguments.short else list_cases()
    cases = [case for case in cases if any(part in case.kind for part in arguments.kinds)]
    gates = {"latency": {"rate": arguments.rate, "bound_ms": arguments.bound_ms, "duration_s": DURATION_S}}
    with (
        tempfile.TemporaryDirectory(prefix="tandem-defects-") as folder,
        running_stack(arguments.state or Path(folder)) as (client, settings),
    ):
        bases = {DIGITS: read_digits(settings)}
        if any(case.base == MNIST for case in cases):
            bases[MNIST] = read_mnist(arguments.mnist)
        campaign = Campaign(client, open_registry(settings), bases, gates)
        campaign.release_bases()
        verdicts = campaign.carry_out(cases, _show)
    _print_table(verdicts)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps([_to_json(verdict) for verdict in verdicts], indent=1))
    released = sum(verdict.is_released for verdict in verdicts if not verdict.case.is_good)
    refused = sum(not verdict.is_released for verdict in verdicts if verdict.case.is_good)
    return 1 if released or refused > ALLOWED_REFUSALS else 0


def _show(verdict: Verdict) -> None:
    mark = "     " if verdict.is_right else "WRONG"
    print(
        f"{mark} {verdict.case.kind:42s} {verdict.case.base:6s} {verdict.seconds:5.1f} s  "
        f"{verdict.gate or 'released':9s} {verdict.error[:200]}",
        flush=True,
    )


def _print_table(verdicts: list[Verdict]) -> None:
    print(f"\n{'kind':42s} {'cases':>5s} {'right':>5s}  gates that failed")
    for kind in dict.fromkeys(verdict.case.kind for verdict in verdicts):
        of_kind = [verdict for verdict in verdicts if verdict.case.kind == kind]
        gates = Counter(verdict.gate or "none" for verdict in of_kind)
        print(
            f"{kind:42s} {len(of_kind):5d} {sum(verdict.is_right for verdict in of_kind):5d}  "
            + ", ".join(f"{gate} {count}" for gate, count in gates.items())
        )
    for name, is_good in (("defects", False), ("good", True)):
        of_both = [verdict for verdict in verdicts if verdict.case.is_good == is_good]
        print(f"{name}: {sum(verdict.is_right for verdict in of_both)} of {len(of_both)} right")


def _to_json(verdict: Verdict) -> dict[str, object]:
    case = verdict.case
    return {
        "kind": case.kind,
        "base": case.base,
        "seed": case.seed,
        "is_base_gone": case.is_base_gone,
        "is_released": verdict.is_released,
        "gate": verdict.gate,
        "error": verdict.error,
        "seconds": round(verdict.seconds, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
