"""The local web application: worklist, gallery and the slide itself, for readers who verdict (docs/how-to/review-server.md).

It stands on a floor of its own between the stages and the work on slides, because it brings slides, review and
artefacts together for as long as it runs (docs/explanation/decisions/0050).
"""
