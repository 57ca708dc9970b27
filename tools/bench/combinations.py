#!/usr/bin/env python3
"""Which combination of estimators ranks well for how little: pairs, triples, fitted stacks.

    tools/bench/combinations.py RUN_FOLDER [--out combinations.json]
    tools/bench/combinations.py TABLE.csv --accuracy COLUMN [--costs a=0.1,b=2] [--train-s 30]

RUN_FOLDER is that of ``hwnas score --run``: its estimates.jsonl has the values, their cost
and the trained reference. A CSV table has no costs of its own: --costs names seconds per
architecture (0 for those left out), --train-s those of one training.

Tried are every estimator, all pairs and triples by mean rank, and the same by a stack: a
ridge regression and a Gaussian process on the ranks, fitted to a few trained architectures
of the same pool, whose trainings are paid for by all architectures of the pool. A training
from scratch among the estimators counts as any other.

Choice and judgement never see the same architectures. The pool is cut in halves at random,
many times. In each, the cheapest candidate with Kendall of at least the goal on the first half
(or, where none has it, the best) is chosen and judged on the second half. A stack is fitted
within the half where it is judged or chosen from: the few that it learns from are drawn
there and its Kendall is of the others. The table's own Kendall is over the whole pool, of a
stack averaged over draws of the few; its interval is by bootstrap, and the best of many
rows is too good by chance, which is why the chosen one's Kendall on the other half is given.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from score_pool import Floats, Pool, read_pool

from hwnas.errors import HwnasError, RequestError
from hwnas.estimators.ranking import score_ranks
from hwnas.estimators.regressors import ProcessRegressor
from hwnas.estimators.resampling import Resampling, interval
from hwnas.estimators.zero_shot import mean_rank
from hwnas.files import write_text

GOAL = 0.8
SPLITS = 50
TRAINED = (8, 16)
"""How many architectures a stack is fitted on."""
STACK_DRAWS = 5
PENALTY = 1.0


@dataclass(frozen=True)
class Candidate:
    """A way to rank.

    Args:
        parts: The estimators that it is made of.
        kind: ``"rank"`` for their mean rank, or the model of a stack.
        trained: Architectures that a stack is fitted on.
    """

    parts: tuple[str, ...]
    kind: str = "rank"
    trained: int = 0

    @property
    def name(self) -> str:
        """For people."""
        own = "+".join(self.parts)
        return own if self.kind == "rank" else f"{self.kind}({own}; {self.trained} trained)"

    def cost_s(self, pool: Pool, size: int) -> float:
        """Seconds per architecture of a pool of a size, with what the stack learned from."""
        parts = sum(pool.seconds[part] for part in self.parts)
        return parts + self.trained * pool.train_s / size


def candidates(
    names: Sequence[str], kinds: Sequence[str], trained: Sequence[int]
) -> list[Candidate]:
    """Every single, pair and triple, by mean rank and as stacks."""
    groups = [own for size in (1, 2, 3) for own in combinations(sorted(names), size)]
    return [Candidate(own) for own in groups] + [
        Candidate(own, kind, count) for own in groups for kind in kinds for count in trained
    ]


def stack(kind: str, rows: Floats, truth: Floats, fitted: NDArray[np.int64]) -> Floats:
    """Predictions for all rows by a model of those at ``fitted``, and no other accuracy."""
    target = truth[fitted]
    centre, scale = target.mean(), target.std() or 1.0
    own = (target - centre) / scale
    if kind == "gp":
        return ProcessRegressor().fit(rows[fitted], own).predict(rows)[0]
    known = rows[fitted]
    gram = known.T @ known + PENALTY * np.eye(rows.shape[1])
    found: Floats = rows @ np.linalg.solve(gram, known.T @ own)
    return found


def ranks_of(pool: Pool, parts: Sequence[str], index: NDArray[np.int64]) -> Floats:
    """Standardised ranks ``(n, parts)`` within a pool, which need no accuracy."""
    ranks = np.stack([score_ranks(pool.values[part][index]) for part in parts], axis=1)
    spread = ranks.std(axis=0)
    return (ranks - ranks.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def kendalls(
    pool: Pool, candidate: Candidate, index: NDArray[np.int64], rng: np.random.Generator, draws: int
) -> list[tuple[Floats, Floats]]:
    """Scores of a candidate and the truth, of architectures that it did not learn from.

    One pair for mean ranks, ``draws`` for a stack.
    """
    truth = pool.truth[index]
    if candidate.kind == "rank":
        values = [pool.values[part][index].tolist() for part in candidate.parts]
        return [(np.array(mean_rank(values)), truth)]
    rows, found = ranks_of(pool, candidate.parts, index), []
    for _ in range(draws):
        order = rng.permutation(len(index))
        fitted, others = order[: candidate.trained], order[candidate.trained :]
        found.append((stack(candidate.kind, rows, truth, fitted)[others], truth[others]))
    return found


def kendall(scores: Floats, truth: Floats) -> float:
    """Tau-b, as :func:`hwnas.estimators.ranking.rank_statistics` has it, and nothing else."""
    own, true = (np.sign(v[:, None] - v) for v in (score_ranks(scores), truth))
    untied = np.abs(own).sum() * np.abs(true).sum()
    if not true.any():
        return math.nan
    return float((own * true).sum() / math.sqrt(untied)) if untied else 0.0


def judged(pairs: Sequence[tuple[Floats, Floats]]) -> float:
    """Mean Kendall over the draws; NaN where the truth has no order."""
    return float(np.mean([kendall(own, truth) for own, truth in pairs]))


def whole_pool(pool: Pool, candidate: Candidate, seed: int) -> list[tuple[Floats, Floats]]:
    """A candidate on the whole pool, the same each time."""
    index = np.arange(len(pool.truth))
    return kendalls(pool, candidate, index, np.random.default_rng(seed), STACK_DRAWS)


def bounds(pool: Pool, candidate: Candidate, seed: int) -> tuple[float, float]:
    """The 95 % bootstrap interval of a candidate's Kendall on the whole pool."""
    pairs = whole_pool(pool, candidate, seed)
    # Draws of the few have resamples of their own, so that the interval holds their choice too.
    drawn = [
        Resampling(truth, resamples=1000 // len(pairs), seed=seed + place).draw(own)["kendall"]
        for place, (own, truth) in enumerate(pairs)
    ]
    return interval(np.concatenate(drawn))


def pareto(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that nothing as cheap is better than, the cheapest first."""
    best, found = -math.inf, []
    for row in sorted(rows, key=lambda row: (row["seconds"], -row["kendall"])):
        if row["kendall"] > best:
            best = row["kendall"]
            found.append(row)
    return found


def choose(scored: Sequence[tuple[float, float]], goal: float) -> int:
    """The cheapest of (Kendall, seconds) that reaches a goal, or the best where none does."""
    able = [place for place, (kendall, _) in enumerate(scored) if kendall >= goal]
    if able:
        return min(able, key=lambda place: (scored[place][1], -scored[place][0]))
    return max(range(len(scored)), key=lambda place: (scored[place][0], -scored[place][1]))


def split_half(
    pool: Pool, tried: Sequence[Candidate], goal: float, splits: int, seed: int
) -> dict[str, Any]:
    """What choosing on one half gives on the other, over many halves."""
    rng = np.random.default_rng(seed)
    outcomes, chosen, reached = [], [], 0
    size = len(pool.truth)
    for _ in range(splits):
        order = rng.permutation(size)
        first, second = order[: size // 2], order[size // 2 :]
        fit = [own for own in tried if own.trained <= len(first) // 2]
        scored = [
            (judged(kendalls(pool, own, first, rng, 1)), own.cost_s(pool, size)) for own in fit
        ]
        place = choose(scored, goal)
        reached += scored[place][0] >= goal
        chosen.append(fit[place])
        outcomes.append(judged(kendalls(pool, fit[place], second, rng, 1)))
    counts = {own.name: chosen.count(own) for own in dict.fromkeys(chosen)}
    low, high = interval(np.array(outcomes))
    return {
        "splits": splits,
        "reached_on_first_half": reached / splits,
        "kendall_on_second_half": float(np.mean(outcomes)),
        "low": low,
        "high": high,
        "reached_on_second_half": float(np.mean(np.array(outcomes) >= goal)),
        "seconds": float(np.mean([own.cost_s(pool, size) for own in chosen])),
        "chosen": dict(sorted(counts.items(), key=lambda item: -item[1])),
    }


def report(pool: Pool, given: argparse.Namespace) -> dict[str, Any]:
    """All that is printed, as plain values."""
    names = [own for own in pool.values if own not in given.without.split(",")]
    if not names:
        raise RequestError("no estimator is left; give fewer in --without")
    trained = [count for count in TRAINED if count <= len(pool.truth) // 2]
    tried = candidates(names, given.stacks.split(",") if given.stacks else (), trained)
    # A Gaussian process takes too long for hundreds of candidates in each of the halves.
    quick = [own for own in tried if own.kind != "gp"]
    rows = [
        {
            "name": own.name,
            "kendall": judged(whole_pool(pool, own, given.seed)),
            "seconds": own.cost_s(pool, len(pool.truth)),
        }
        for own in tried
    ]
    rows.sort(key=lambda row: -row["kendall"])
    front = pareto(rows)
    able = [row for row in rows if row["kendall"] >= given.goal]
    cheapest = min(able, key=lambda row: row["seconds"]) if able else None
    by_name = {own.name: own for own in tried}
    # Of what is printed only: an interval takes a thousand times as long as its middle.
    for row in (*rows[: given.most], *front, *([cheapest] if cheapest else [])):
        row["low"], row["high"] = bounds(pool, by_name[row["name"]], given.seed)
    return {
        "n": len(pool.truth),
        "goal": given.goal,
        "train_seconds": pool.train_s,
        "tried": len(rows),
        "front": front,
        "cheapest": cheapest,
        "split_half": split_half(pool, quick, given.goal, given.splits, given.seed),
        "rows": rows,
    }


def show(result: dict[str, Any], most: int) -> None:
    def line(row: dict[str, Any]) -> str:
        held = f"{row['low']:.2f} to {row['high']:.2f}"
        return f"{row['kendall']:7.3f}  {held:>14}  {row['seconds']:10.4g}  {row['name']}"

    print(f"{result['n']} architectures; one training takes {result['train_seconds']:.3g} s")
    for title, rows in (
        (f"best {most} of {result['tried']}", result["rows"][:most]),
        ("Pareto front", result["front"]),
    ):
        print(f"\n{title}\nKendall  95 % interval      s each  estimators")
        print("\n".join(map(line, rows)))
    best = result["cheapest"]
    print(f"\ncheapest that reaches {result['goal']:g} on the whole pool, chosen and judged there:")
    print(line(best) if best else "none does")
    half = result["split_half"]
    print(
        f"\nchosen on one half, judged on the other ({half['splits']} halves): Kendall "
        f"{half['kendall_on_second_half']:.3f} ({half['low']:.2f} to {half['high']:.2f}), at least "
        f"{result['goal']:g} in {100 * half['reached_on_second_half']:.0f} % of them, "
        f"{half['seconds']:.4g} s each; most often {next(iter(half['chosen']))}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("source", type=Path, help="folder of 'hwnas score --run', or a CSV table")
    parser.add_argument("--accuracy", help="with a table: the column of the truth")
    parser.add_argument("--scores", help="with a table: columns with commas; all by default")
    parser.add_argument("--costs", help="with a table: seconds of an estimate, a=0.1,b=2")
    parser.add_argument("--train-s", type=float, default=0.0, help="with a table: of one training")
    parser.add_argument("--without", default="", help="estimators to leave out, with commas")
    parser.add_argument("--stacks", default="ridge", help="ridge, gp or both with a comma; '' none")
    parser.add_argument("--goal", type=float, default=GOAL, help="Kendall to reach")
    parser.add_argument("--splits", type=int, default=SPLITS, help="halves to choose and judge in")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=15, help="rows to print")
    parser.add_argument("--out", type=Path, help="JSON file for all rows")
    given = parser.parse_args()
    try:
        unknown = set(filter(None, given.stacks.split(","))) - {"ridge", "gp"}
        if unknown:
            raise RequestError(f"--stacks is of ridge and gp, received {', '.join(unknown)}")
        result = report(read_pool(given.source, given), given)
        show(result, given.most)
        if given.out is not None:
            write_text(given.out, json.dumps(result, indent=1) + "\n")
    except HwnasError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
