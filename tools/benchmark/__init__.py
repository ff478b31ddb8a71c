"""The benchmark: tfspec and its peers side by side.

`suite` starts the processes and lets them take turns, `runs` is what the
TensorFlow one does, `peers` the others, `report` writes tables and charts.
"""
