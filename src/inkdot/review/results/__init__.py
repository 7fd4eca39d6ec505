"""Results of one slide as the review shows them: scores, clusters, merged regions, ranking."""
