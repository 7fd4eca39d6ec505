"""Foreground, glass and artefacts of a slide."""
