"""Where a network looked, asked in ten ways, and whether the answers can be believed.

`lucency.explain.table.EXPLAINERS` lists the ways; they need lucency[train]. `lucency.explain.occlusion` explains any
reader without PyTorch, and `lucency.explain.faithfulness` measures every map against the film and the lesion.
"""
