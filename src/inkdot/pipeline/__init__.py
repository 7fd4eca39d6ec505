"""What is done with one slide: tile, score, cluster, measure, render; and the slide prediction made from it."""
