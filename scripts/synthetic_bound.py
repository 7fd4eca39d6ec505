"""Print how well anybody could do on synthetic clusters: the metric to hold every selftest_ metric against.

python scripts/synthetic_bound.py [clusters per class]
"""

import sys

from inkdot.synthetic.achievable_auc import simulated_bounds


def main(clusters_per_class: int) -> None:
    for bound in simulated_bounds(clusters_per_class):
        print(
            f"{bound.question}: selftest_best_auc {bound.selftest_best_auc:.3f}, "
            f"selftest_diameter_auc {bound.selftest_diameter_auc:.3f} ({bound.clusters} clusters)"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1500)
