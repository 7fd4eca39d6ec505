"""The local web application: worklist, gallery and the slide itself, for readers (docs/how-to/review-server.md).

It is a layer of its own between the stages and the packages below, because it uses slides, review and storage together
(docs/explanation/decisions/0050).
"""
