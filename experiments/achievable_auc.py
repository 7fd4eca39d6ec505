"""Print the highest AUC that is achievable on synthetic clusters: the reference for every `selftest_` metric.

python experiments/achievable_auc.py [--clusters 1500]
"""
# pyright: basic

import argparse

from inkdot.synthetic.achievable_auc import simulated_bounds


def main() -> None:
    parser = argparse.ArgumentParser(description="Highest achievable AUC on synthetic clusters.")
    parser.add_argument("--clusters", type=int, default=1500, help="clusters per class")
    options = parser.parse_args()
    for bound in simulated_bounds(options.clusters):
        print(
            f"{bound.head}: selftest_best_auc {bound.selftest_best_auc:.3f}, "
            f"selftest_diameter_auc {bound.selftest_diameter_auc:.3f} ({bound.clusters} clusters)"
        )


if __name__ == "__main__":
    main()
