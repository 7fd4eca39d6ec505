"""The unit of work on one slide, and the engines that run many."""
