"""What on a slide is specimen, what is glass, and what cannot be assessed."""
